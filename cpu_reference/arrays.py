"""Where this backend's arrays live — in the host's memory — and how the engine should cut its work for it."""

import numpy as np
import numpy.typing as npt

from cpu_reference.types import F8

BLOCK = 1024
"""Scenarios of a task. Fixed: where a block begins must not depend on the machine. Wide, so that few strikes fill a
tile of `revalue` and threads meet seldom."""

TILE = 256
"""Instruments between two aggregations: their profit and loss in a block (2 MB) stays in the shared cache."""

POOLED = False
"""Whether underlyings are revalued together."""

MEASURED = 1 << 20
"""Elements of profit and loss that are measured at a time: 8 MB, and as much again for each temporary."""


def batch_bytes() -> int:
    """Cells' profit and loss to hold at a time; one underlying's at least."""
    return 256 << 20


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller tile may avoid the error."""
    return isinstance(error, MemoryError)


def workers(threads: int) -> int:
    """Tasks to run at a time."""
    return threads


def zeros(shape: tuple[int, ...]) -> F8:
    """A float64 array of zeros."""
    return np.zeros(shape)


def empty(shape: tuple[int, ...], dtype: str = "float64") -> F8:
    """An array to be overwritten."""
    return np.empty(shape, dtype)


def to_device(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The array where the backend computes."""
    return array


def to_host(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The array as NumPy's."""
    return array
