"""The kernels on the host with arrays that are as far from NumPy's as CuPy's are.

On `HostDevice` an array of the device is one of the host, so code that mixes the two works there and fails on a GPU.
Here it fails, too: arrays convert to NumPy only by `download`, meet NumPy arrays in no operation, no index and no
assignment, and new memory holds NaNs. Of the array module only those functions exist that CuPy is known to have.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from kernels.host.device import HostDevice

from gpu_var.cuda.tail import ANY_DEVICE

_ATTRIBUTES = frozenset({"shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags"})
_METHODS = frozenset({"all", "any", "astype", "copy", "max", "min", "ravel", "reshape", "sum"})
_FUNCTIONS = frozenset({"ascontiguousarray", "broadcast_to", "flatnonzero", "isfinite", "negative", "where"})


class Separate(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of the device."""

    device = SimpleNamespace(id=0)

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.own = array

    def __getattr__(self, name: str) -> Any:
        if name in _ATTRIBUTES:
            return getattr(self.own, name)
        if name in _METHODS:
            return lambda *args, **more: _wrapped(getattr(self.own, name)(*map(_unwrapped, args), **more))
        raise AttributeError(f"{name}; if CuPy's arrays have it, add it here")

    def __array__(self, *_args: Any, **_more: Any) -> npt.NDArray[Any]:
        raise TypeError("implicit conversion to a NumPy array; expected a download")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **more: Any) -> Any:
        if "out" in more:
            more["out"] = tuple(map(_unwrapped, more["out"]))
        return _wrapped(getattr(ufunc, method)(*map(_unwrapped, inputs), **more))

    def __array_function__(self, function: Any, _types: Any, args: Any, more: dict[str, Any]) -> Any:
        if function.__name__ not in _FUNCTIONS:
            raise TypeError(f"numpy.{function.__name__} of an array of the device")
        return _wrapped(function(*map(_unwrapped, args), **more))

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, at: Any) -> "Separate":
        return _wrapped(self.own[_place(at)])

    def __setitem__(self, at: Any, value: Any) -> None:
        self.own[_place(at)] = _unwrapped(value)

    def _alone(self) -> Any:
        if self.size != 1:
            raise TypeError(f"a number is expected in place of an array of shape {self.shape}")
        return self.own.item()

    def __bool__(self) -> bool:
        return bool(self._alone())

    def __int__(self) -> int:
        return int(self._alone())

    def __float__(self) -> float:
        return float(self._alone())


def _unwrapped(value: Any) -> Any:
    if isinstance(value, Separate):
        return value.own
    if isinstance(value, np.ndarray):
        raise TypeError("an array of the host in an operation on the device; expected an upload")
    return value


def _wrapped(value: Any) -> Separate:
    return Separate(np.asarray(value))


def _place(at: Any) -> Any:
    return tuple(map(_unwrapped, at)) if isinstance(at, tuple) else _unwrapped(at)


def _empty(shape: Any, dtype: npt.DTypeLike = np.float64) -> Separate:
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = 0xFF  # NaN, −1
    return Separate(array)


def _as_strided(array: Separate, shape: tuple[int, ...], strides: tuple[int, ...]) -> Separate:
    return Separate(np.lib.stride_tricks.as_strided(array.own, shape, strides))


def _argsort(a: Separate, axis: int = -1, kind: str | None = None) -> Separate:
    """Stable whatever is asked for, and nothing else may be."""
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return Separate(np.argsort(_unwrapped(a), axis, kind="stable"))


def _searchsorted(a: Separate, v: Any, side: Any = "left") -> Separate:
    """In a vector of the device, of another array of the device or one number."""
    if not isinstance(a, Separate) or not isinstance(v, Separate | int | float):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    if a.ndim != 1:
        raise ValueError("object too deep for desired array")
    return _wrapped(np.searchsorted(a.own, _unwrapped(v), side))


class _Arrays:
    """What stands in CuPy's place."""

    __name__ = "separate"
    ndarray = Separate
    argsort = staticmethod(_argsort)
    empty = staticmethod(_empty)
    searchsorted = staticmethod(_searchsorted)
    zeros = staticmethod(lambda shape, dtype=np.float64: Separate(np.zeros(shape, dtype)))
    lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))
    cuda = SimpleNamespace(
        Device=lambda: SimpleNamespace(id=0),
        runtime=SimpleNamespace(getDeviceProperties=lambda _: {"sharedMemPerBlockOptin": ANY_DEVICE}),
    )

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(f"{name}; if CuPy has it, add it here")
        return lambda *args, **more: _wrapped(getattr(np, name)(*map(_unwrapped, args), **more))


class SeparateDevice(HostDevice):
    """A host device whose arrays are `Separate`."""

    xp: Any = _Arrays()

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
        super().launch(kernel, function, grid, block, tuple(map(_unwrapped, args)), shared_bytes)

    def upload(self, array: npt.NDArray[Any]) -> Any:
        """A copy."""
        if not isinstance(array, np.ndarray):
            raise TypeError(f"an upload of a {type(array).__name__}; expected an array of the host")
        return Separate(np.array(array, order="C"))

    def download(self, array: Any) -> npt.NDArray[Any]:
        """A copy."""
        if not isinstance(array, Separate):
            raise TypeError(f"a download of a {type(array).__name__}; expected an array of the device")
        return array.own.copy()
