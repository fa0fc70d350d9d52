"""The kernels on the host: a `Device` whose arrays are NumPy's and whose launches run g++ builds of the .cu files.

Every launcher of `gpu_var.cuda` works with it unchanged, without a GPU:

    from gpu_var.cuda.device import use
    from kernels.host.device import HostDevice

    with use(HostDevice()):                 # fast enough for a small whole run
        gpu_var.cuda.filter_ewma(returns, 0.97)
    with use(HostDevice("address")):        # AddressSanitizer and UBSan; "thread": ThreadSanitizer
        gpu_var.cuda.filter_ewma(returns, 0.97)   # raises SanitizerError, with the report

Tests take the fixtures `host` (plain) and `sanitized` (both sanitizers in turn) of tests/kernels/conftest.py.
Each launch checks the number and the types of the arguments against the kernel's parameters: an array of another dtype,
a scalar of another size or a pointer that is not aligned for a vector type raises TypeError; CuPy would not notice.
A launch costs one thread creation per CUDA thread of a block (about 10 µs each; a sanitized one also a process), and a
barrier one switch per thread: keep shapes small.
"""

import ctypes
import struct
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from kernels.host.build import build

_SANITIZER = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=66",
}

_STREAM = threading.Lock()
"""Launches of several threads run one after another, as on one stream."""


class SanitizerError(Exception):
    """A sanitizer, or the operating system, stopped a kernel; the message is the report."""


class HostDevice:
    """NumPy arrays and kernels built by g++.

    Args:
        kind: "plain", "address" or "thread".
        folder: where the .cu files are, if not in kernels/.
        free: bytes that the device claims to have free.
    """

    xp = np
    name = "host"

    def __init__(self, kind: str = "plain", folder: Path | None = None, free: int = 1 << 28) -> None:
        self.kind = kind
        self.folder = folder
        self.free = free
        self.launches: list[str] = []

    def launch(
        self,
        kernel: str,
        function: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        shared_bytes: int = 0,
    ) -> None:
        """See `gpu_var.cuda.device.Device.launch`."""
        library = _library(build(kernel, "plain", self.folder))
        signature = library.cuda_host_signature(function.encode())
        if signature is None:
            raise AttributeError(f"kernels/{kernel}.cu has no kernel {function}")
        _check(f"{kernel}.{function}", signature.decode().split(","), args)
        self.launches.append(function)
        size = [(*extent, 1, 1)[:3] for extent in (grid, block)]
        if 0 in size[0]:
            return
        if self.kind == "plain":
            _call(library, function, size, shared_bytes, args)
        else:
            _spool(build(kernel, self.kind, self.folder), function, size, shared_bytes, args)

    def upload(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `gpu_var.cuda.device.Device.upload`."""
        return np.ascontiguousarray(array)

    def download(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `gpu_var.cuda.device.Device.download`."""
        return array

    def free_bytes(self) -> int:
        """See `gpu_var.cuda.device.Device.free_bytes`."""
        return self.free


def _check(name: str, signature: list[str], args: tuple[Any, ...]) -> None:
    """Arguments against the kernel's parameters."""
    if len(signature) != len(args):
        raise TypeError(f"{name} takes {len(signature)} arguments, got {len(args)}")
    for i, (expected, value) in enumerate(zip(signature, args, strict=True)):
        if isinstance(value, np.ndarray):
            got = f"*{value.dtype.kind}{value.dtype.itemsize}"
            if not value.flags.c_contiguous:
                raise TypeError(f"argument {i} of {name} is not C-contiguous")
        elif value is None:
            got = expected if expected.startswith("*") else "None"
        elif isinstance(value, np.generic):
            got = f"{value.dtype.kind}{value.dtype.itemsize}"
        else:
            raise TypeError(f"argument {i} of {name} is a {type(value).__name__}; expected an array or NumPy scalar")
        if got != expected and expected not in ("any", "*any"):
            raise TypeError(f"argument {i} of {name} is {got}; expected {expected}")


@cache
def _library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.cuda_host_signature.restype = ctypes.c_char_p
    return library


def _call(
    library: ctypes.CDLL, function: str, size: list[tuple[int, ...]], shared_bytes: int, args: tuple[Any, ...]
) -> None:
    scalars = [np.atleast_1d(a) if isinstance(a, np.generic) else None for a in args]
    pointers = [ctypes.c_void_p(a.ctypes.data if isinstance(a, np.ndarray) else None) for a in args]
    slots = [s.ctypes.data if s is not None else ctypes.addressof(p) for s, p in zip(scalars, pointers, strict=True)]
    with _STREAM:
        library.cuda_host_launch(
            function.encode(),
            *((ctypes.c_uint * 3)(*extent) for extent in size),
            ctypes.c_size_t(shared_bytes),
            (ctypes.c_void_p * len(slots))(*slots),
        )


def _spool(program: Path, function: str, size: list[tuple[int, ...]], shared_bytes: int, args: tuple[Any, ...]) -> None:
    """One launch in a process of its own: the arguments go through a file, the arrays come back through it."""
    arrays: dict[tuple[int, int], int] = {}
    offsets: dict[int, int] = {}
    parts = [struct.pack("128s6IQQ", function.encode(), *size[0], *size[1], shared_bytes, len(args))]
    at = len(parts[0])
    for i, value in enumerate(args):
        if isinstance(value, np.generic):
            parts.append(struct.pack("QQ", 0, value.dtype.itemsize) + value.tobytes())
        elif value is None:
            parts.append(struct.pack("QQQ", 0, 8, 0))
        else:
            key = (value.ctypes.data, value.nbytes)
            if key in arrays:
                parts.append(struct.pack("QQ", 2, arrays[key]))
            else:
                arrays[key], offsets[i] = i, at + 16
                parts.append(struct.pack("QQ", 1, value.nbytes) + value.tobytes())
        at += len(parts[-1])
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(parts))
        file.flush()
        _sanitize([str(program), file.name])
        written = Path(file.name).read_bytes()
    for i, offset in offsets.items():
        if args[i].flags.writeable:
            args[i][...] = np.frombuffer(written, args[i].dtype, args[i].size, offset).reshape(args[i].shape)


def _sanitize(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_SANITIZER)
    if "unexpected memory mapping" in done.stderr:
        # ThreadSanitizer of older compilers and the kernel's random addresses disagree.
        done = subprocess.run(["setarch", "-R", *command], capture_output=True, text=True, check=False, env=_SANITIZER)
    if done.returncode:
        raise SanitizerError(f"exit status {done.returncode}\n{done.stderr}")
