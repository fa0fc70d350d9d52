"""Where this backend's arrays live — on the device — and how the engine should cut its work for it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cpu_reference.types import once
from gpu_var.cuda.device import current

BLOCK = 4096
"""Scenarios of a task. Fixed: where a block begins must not depend on the machine."""

TILE = 4096
"""Instruments between two aggregations, which read and write the cells that hold some of them: more instruments, fewer
bytes. Of a house of 1,000,000 series in 10,000 scenarios cells take 0.39 TB, with 1,024 a tile 1.0 TB, and the tile
itself 0.16 TB. By count, not measured: kernels/aggregate.cu reads 4 KB an instrument at a time, so that 16 MB have to
stay in the second-level cache."""

POOLED = True
"""Whether underlyings are revalued together: a few hundred series of each are no work for a GPU, but many calls."""

MEASURED = 1 << 25
"""Elements of profit and loss that are measured at a time, 256 MB: so many that the calls themselves cost nothing."""


def batch_bytes() -> int:
    """Cells' profit and loss to hold at a time; one underlying's at least. An eighth of what is free, for the device
    waits for the host only between batches, but no more than keeps it busy."""
    return max(256 << 20, min(4 << 30, current().free_bytes() // 8))


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
    """The array on the device; what is the same along an axis is copied to it once."""
    device = current()
    own = once(array)
    if own.shape == array.shape:
        return device.upload(array)
    return device.xp.ascontiguousarray(device.xp.broadcast_to(device.upload(own), array.shape))


def to_host(array: Any) -> npt.NDArray[np.generic]:
    """The array as NumPy's, once everything before it has run."""
    return current().download(array)
