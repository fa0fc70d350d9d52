"""Where this backend's arrays live — on the device — and how the engine should cut its work for it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_var.cuda.device import current

BLOCK = 4096
"""Scenarios of a task. Fixed: where a block begins must not depend on the machine."""

TILE = 1024
"""Instruments between two aggregations: their profit and loss in a block, 32 MB, stays in the second-level cache."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller tile may avoid it, the host's error or CuPy's: by name, so that CuPy is not imported for it."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def workers(_threads: int) -> int:
    """Tasks to run at a time: one, on one stream."""
    return 1


def zeros(shape: tuple[int, ...]) -> Any:
    """A float64 array of zeros on the device."""
    return current().xp.zeros(shape)


def empty(shape: tuple[int, ...], dtype: str = "float64") -> Any:
    """An array on the device, to be overwritten."""
    return current().xp.empty(shape, dtype)


def to_device(array: npt.NDArray[Any]) -> Any:
    """The array on the device."""
    return current().upload(array)


def to_host(array: Any) -> npt.NDArray[np.generic]:
    """The array as NumPy's, once everything before it has run."""
    return current().download(array)
