"""The device that kernels are launched on, and what every launcher needs of it.

A launcher is written once, against `current()`: its `xp` is CuPy on a GPU; tests put a device with NumPy in its place
that runs the very same kernels on the host. So a launcher looks like this:

    device = current()
    check_array("returns", returns, np.float64, (None, None))
    out = device.xp.empty((n + 1, m))
    device.launch("filter", "filter_ewma", (blocks,), (THREADS,), (returns, np.int64(n), np.int32(m), out))

Scalars are sized (`np.int32`, `np.float64`): CuPy checks no argument of a raw kernel.
"""

import functools
import importlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

OPTIONS = ("--std=c++17",)
"""What NVRTC is given, here and where the kernels are compiled without a GPU."""

_STATIC_SHARED = 48 << 10
"""Bytes of shared memory that a block gets without asking."""


class Device(Protocol):
    """Where arrays live and kernels run."""

    @property
    def xp(self) -> Any:
        """The array module: CuPy, or NumPy on the host."""

    @property
    def name(self) -> str:
        """What a result says it was computed on."""

    def launch(
        self,
        kernel: str,
        function: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        shared_bytes: int = 0,
    ) -> None:
        """Run a function of kernels/KERNEL.cu; asynchronous on a GPU. An empty grid runs nothing.

        Args:
            kernel: the file's stem.
            function: an `extern "C" __global__` function of it.
            grid: blocks in x, y, z; trailing ones may be left out.
            block: threads in x, y, z.
            args: arrays of `xp`, None for a null pointer, and NumPy scalars of the parameters' types.
            shared_bytes: dynamic shared memory of a block.
        """

    def upload(self, array: npt.NDArray[Any]) -> Any:
        """A C-contiguous copy of a host array on the device (on the host: the array itself)."""

    def download(self, array: Any) -> npt.NDArray[Any]:
        """A device array on the host, once everything before it has run."""

    def free_bytes(self) -> int:
        """Memory that can still be allocated."""


class CudaDevice:
    """The current CUDA device, through CuPy: NVRTC compiles a kernel when it is first used, CuPy caches it on disk."""

    def __init__(self) -> None:
        reason = unavailable()
        if reason is not None:
            raise RuntimeError(reason)
        self.xp: Any = importlib.import_module("cupy")
        self._modules: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The model's name, as the driver gives it."""
        properties = self.xp.cuda.runtime.getDeviceProperties(self.xp.cuda.Device().id)
        return str(properties["name"].decode())

    def function(self, kernel: str, function: str) -> Any:
        """A compiled function, as CuPy holds it: its attributes are registers, shared and local memory."""
        if kernel not in self._modules:
            self._modules[kernel] = self.xp.RawModule(code=source(kernel), options=OPTIONS, backend="nvrtc")
        return self._modules[kernel].get_function(function)

    def launch(
        self,
        kernel: str,
        function: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        shared_bytes: int = 0,
    ) -> None:
        """See `Device.launch`."""
        if 0 in grid:
            return
        compiled = self.function(kernel, function)
        if shared_bytes > _STATIC_SHARED and compiled.max_dynamic_shared_size_bytes < shared_bytes:
            compiled.max_dynamic_shared_size_bytes = shared_bytes
        # CuPy passes None as no parameter at all, not as a null pointer.
        values = tuple(np.uint64(0) if value is None else value for value in args)
        compiled(grid, block, values, shared_mem=shared_bytes)

    def upload(self, array: npt.NDArray[Any]) -> Any:
        """See `Device.upload`. CuPy copies it to pinned memory, and from there while the host goes on."""
        return self.xp.asarray(np.ascontiguousarray(array))

    def download(self, array: Any) -> npt.NDArray[Any]:
        """See `Device.download`."""
        return np.asarray(self.xp.asnumpy(array))

    def free_bytes(self) -> int:
        """Free memory of the device and of CuPy's pool."""
        free, _total = self.xp.cuda.runtime.memGetInfo()
        return int(free + self.xp.get_default_memory_pool().free_bytes())


_in_use: list[Device] = []


@functools.cache
def _cuda() -> Device:
    return CudaDevice()


def current() -> Device:
    """The device in use: the innermost `use`, or the CUDA device.

    Raises:
        RuntimeError: there is none; the message says what is missing.
    """
    return _in_use[-1] if _in_use else _cuda()


@contextmanager
def use(device: Device) -> Iterator[Device]:
    """Launch on another device within the block, in every thread."""
    _in_use.append(device)
    try:
        yield device
    finally:
        _in_use.pop()


def unavailable() -> str | None:
    """Why kernels cannot be launched in this process, and what to do about it; None where they can."""
    if _in_use:
        return None
    if importlib.util.find_spec("cupy") is None:
        extras = "gpu-var[cuda13] (driver 580 or later) or gpu-var[cuda12] (driver 525 or later)"
        return f"cupy is not installed; install {extras}"
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return f"cupy cannot be imported ({error}); reinstall gpu-var[cuda13] or gpu-var[cuda12]"
    try:
        if cupy.cuda.runtime.getDeviceCount() == 0:
            return _reason("NoDevice")
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return _reason(str(error))
    return None


def _reason(error: str) -> str:
    """What an error of the CUDA runtime means to someone who has to do something about it."""
    if "NoDevice" in error:
        return "no CUDA device is visible; expected at least one (see nvidia-smi and CUDA_VISIBLE_DEVICES)"
    if "InsufficientDriver" in error:
        return f"no NVIDIA driver, or one too old for this cupy ({error}); install a driver, or the other CUDA extra"
    return f"the CUDA driver does not answer ({error}); see nvidia-smi"


@functools.cache
def kernel_path() -> Path:
    """The folder of the .cu files: inside the package where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "kernels", package.parent / "kernels"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the CUDA sources are missing; expected {package / 'kernels'}; reinstall gpu-var")


_INCLUDE = re.compile(r'\s*#include\s+"([^"]+)"')


def source(kernel: str, folder: Path | None = None) -> str:
    """The text of kernels/KERNEL.cu with its headers in place, each once; lines keep their file and number.

    In place, because CuPy's cache of compiled kernels knows a kernel by its text alone, not by its headers'.

    Args:
        folder: where the sources are, if not `kernel_path()`.
    """
    folder = folder or kernel_path()
    return "".join(_inlined(folder, f"{kernel}.cu", set()))


def _inlined(folder: Path, name: str, seen: set[str]) -> Iterator[str]:
    yield f'#line 1 "kernels/{name}"\n'
    for number, line in enumerate((folder / name).read_text().splitlines(), 1):
        include = _INCLUDE.match(line)
        if include:
            if include[1] not in seen:
                seen.add(include[1])
                yield from _inlined(folder, include[1], seen)
                yield f'#line {number + 1} "kernels/{name}"\n'
            else:
                yield "\n"
        elif line.strip() == "#pragma once":
            yield "\n"
        else:
            yield line + "\n"


def check_array(name: str, array: Any, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Check an argument before its address is handed to a kernel.

    Args:
        name: the argument's, for the message.
        shape: expected lengths; None for any.

    Raises:
        TypeError: not an array of the current device's kind, or of another dtype.
        ValueError: another shape, not C-contiguous, or on another GPU.
    """
    device = current()
    if not isinstance(array, device.xp.ndarray):
        kind = f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"
        raise TypeError(f"{name} is a {kind}; expected a {device.xp.__name__}.ndarray")
    if array.dtype != np.dtype(dtype):
        raise TypeError(f"{name} has dtype {array.dtype}; expected {np.dtype(dtype)}")
    if array.ndim != len(shape) or any(e not in (None, n) for n, e in zip(array.shape, shape, strict=True)):
        expected = ", ".join("any" if e is None else str(e) for e in shape) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} has shape {array.shape}; expected ({expected})")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} is not C-contiguous; expected rows one after another")
    if device.xp is not np and array.device.id != device.xp.cuda.Device().id:
        raise ValueError(f"{name} is on GPU {array.device.id}; expected the current one, {device.xp.cuda.Device().id}")
