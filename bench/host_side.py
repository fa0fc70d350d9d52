"""What the host does in a run on a GPU, in seconds by step, measured without a GPU.

This measures the host alone. The run is the benchmark's house on a device whose arrays hold nothing and whose kernels
do nothing, so the seconds say nothing of how long a GPU would take, and the results are no results. What CuPy adds to
a call (some 5 to 20 µs) is not in the seconds either; how many calls there are is in the last lines. Some numbers the
host needs: the boundaries and integrals of premiums, and where the tiles of holdings begin, are computed by the host in
a run before, and handed out again in this one.
A step's seconds are the processor's, of all threads; of a wall clock several threads take less.

    python bench/host_side.py --instruments 1000000 --positions 10000000
"""

import argparse
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

import cpu_reference
from cpu_reference.exercise import HOST, Solver
from gpu_var import cuda, engine
from gpu_var.benchmark import house as h
from gpu_var.cuda import holders

revalue: Any = import_module("gpu_var.cuda.revalue")
"""The module; the package's `revalue` is the function."""

STEPS = (
    (h, "underlyings", "underlyings: sorting instruments, curves, smiles"),
    (h, "cells_of", "cells: which account holds which underlying"),
    (engine, "holders_of", "holdings: laid out, uploads among it"),
    (cuda.Holders, "of", "holdings: tiles of each underlying"),
    (engine, "shocks", "shocks: each underlying's market in the scenarios"),
    (revalue, "fits", "fits: ranges, rates, dividends"),
    (revalue, "fit_premiums", "fits of premiums"),
    (revalue, "_launched_today", "today's prices: launches"),
    (cuda, "prepare_all", "preparation besides"),
    (revalue, "tables", "tables of instruments for the kernels"),
    (cuda, "revalue", "revaluation: launches"),
    (cuda, "aggregate", "aggregation: launches"),
    (cuda, "add_rows", "sums of accounts: launches"),
    (cuda, "tail", "tails of cells and accounts"),
)
"""Where a step's function is looked up, its name there, and what the table says of it."""


_BLOCK = 1 << 20
"""Elements of a temporary of theirs: fewer than a GPU takes at once, for the sake of the host's memory."""


class Nothing(np.lib.mixins.NDArrayOperatorsMixin):
    """An array without memory: a shape, a type, and the one value that a download finds in every place."""

    def __init__(self, like: npt.NDArray[Any], value: float = 0.0) -> None:
        self._like, self._value = like, value
        self.device = SimpleNamespace(id=0)

    @classmethod
    def of(cls, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float64, value: float = 0.0) -> "Nothing":
        """As long as its rows would be; none of it is ever read or written."""
        extent = (shape,) if isinstance(shape, int) else tuple(shape)
        strides = np.cumprod([np.dtype(dtype).itemsize, *extent[:0:-1]])[::-1].tolist() if extent else []
        one = np.zeros(1, dtype)
        return cls(np.lib.stride_tricks.as_strided(one, extent, strides), value)

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize", "strides", "flags"):
            return getattr(self._like, name)
        raise AttributeError(name)

    def __len__(self) -> int:
        return len(self._like)

    def __getitem__(self, at: Any) -> "Nothing":
        places = at if isinstance(at, tuple) else (at,)
        if any(isinstance(place, Nothing | np.ndarray) for place in places):
            rows = len(places[0])
            return Nothing.of((rows, *self.shape[1:]), self.dtype, self._value)
        return Nothing(self._like[at], self._value)

    def __setitem__(self, at: Any, value: Any) -> None:
        pass

    def __array_ufunc__(self, ufunc: np.ufunc, _method: str, *inputs: Any, **_more: Any) -> "Nothing":
        shape = np.broadcast_shapes(*(getattr(array, "shape", ()) for array in inputs))
        return Nothing.of(shape, *((np.bool_, 1.0) if ufunc is np.isfinite else (self.dtype, self._value)))

    def copy(self) -> "Nothing":
        """Another one."""
        return Nothing.of(self.shape, self.dtype, self._value)

    def astype(self, dtype: npt.DTypeLike) -> "Nothing":
        """Of another type."""
        return Nothing.of(self.shape, dtype, self._value)

    def reshape(self, *shape: int) -> "Nothing":
        """In another shape; one length may be −1."""
        rest = -np.prod(shape, dtype=np.int64)
        return Nothing.of(tuple(int(self.size // rest) if n < 0 else n for n in shape), self.dtype, self._value)

    def all(self, axis: int) -> "Nothing":
        """Without the axis."""
        return Nothing.of(tuple(n for i, n in enumerate(self.shape) if i != axis), np.bool_, self._value)

    def any(self) -> "Nothing":
        """One."""
        return Nothing.of((), np.bool_, self._value)

    def on_host(self) -> npt.NDArray[Any]:
        """What a download brings."""
        return np.full(self.shape, self._value, self.dtype) if self._value else np.zeros(self.shape, self.dtype)


def _places(array: Nothing, *_args: Any, **_more: Any) -> Nothing:
    """As many numbers as the array is long: where the true ones are, all may be."""
    return Nothing.of(len(array), np.int64)


def _as_strided(array: Nothing, shape: tuple[int, ...], _strides: tuple[int, ...]) -> Nothing:
    return Nothing.of(shape, array.dtype)


class _Arrays:
    """What the launchers and the engine use of CuPy."""

    ndarray = Nothing
    zeros = empty = Nothing.of
    broadcast_to = staticmethod(lambda array, shape: Nothing.of(shape, array.dtype))
    ascontiguousarray = staticmethod(lambda array: array)
    argsort = flatnonzero = staticmethod(_places)
    searchsorted = staticmethod(lambda _a, v, side="left": Nothing.of(v.shape, np.int64))  # noqa: ARG005
    lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))
    cuda = SimpleNamespace(
        Device=lambda: SimpleNamespace(id=0),
        runtime=SimpleNamespace(getDeviceProperties=lambda _: {"sharedMemPerBlockOptin": 227 << 10}),
    )


class NoDevice:
    """A `gpu_var.cuda.device.Device` on which nothing happens; it counts what it was asked for."""

    name = "none"
    xp: Any = _Arrays

    def __init__(self) -> None:
        self.launches: Counter[str] = Counter()
        self.uploads = self.downloads = self.uploaded = 0

    def launch(self, kernel: str, function: str, *_args: Any, **_more: Any) -> None:
        """See `Device.launch`."""
        self.launches[f"{kernel}.{function}"] += 1

    def upload(self, array: npt.NDArray[Any]) -> Nothing:
        """See `Device.upload`; makes the contiguous copy, where one is needed."""
        array = np.ascontiguousarray(array)
        self.uploads += 1
        self.uploaded += array.nbytes
        return Nothing.of(array.shape, array.dtype)

    def download(self, array: Nothing) -> npt.NDArray[Any]:
        """See `Device.download`."""
        self.downloads += 1
        return array.on_host()

    def free_bytes(self) -> int:
        """See `Device.free_bytes`."""
        return 64 << 30


class Steps:
    """The processor's seconds in some functions, each without those of the functions among them that it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._within = threading.local()

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time added to the step's."""

        def run(*args: Any, **more: Any) -> Any:
            outer = getattr(self._within, "inner", 0.0)
            self._within.inner = 0.0
            begin = time.thread_time()
            try:
                return function(*args, **more)
            finally:
                took = time.thread_time() - begin
                self.seconds[step] += took - self._within.inner
                self.calls[step] += 1
                self._within.inner = outer + took

        return run


class Measured(NamedTuple):
    """A run."""

    seconds: float  # by the clock
    processor: float  # of all threads
    steps: Steps
    device: NoDevice


def _recording(into: list[Any]) -> Solver:
    """The host's solver; what it answers is kept, for fits may change it in place."""

    def kept(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **more: Any) -> Any:
            answer = function(*args, **more)
            into.append(deepcopy(answer))
            return answer

        return run

    return Solver(kept(HOST.boundary), kept(HOST.integral), _BLOCK)


def _repeating(answers: list[Any]) -> Solver:
    """A solver that gives the same answers in the same order, at once."""
    coming = iter(answers)

    def answer(*_args: Any, **_more: Any) -> Any:
        return next(coming)

    return Solver(answer, answer, _BLOCK)


@contextmanager
def _laying_out(into: list[Any]) -> Iterator[None]:
    """Where the tiles of holdings begin is computed by the reference, and kept."""

    def laid_out(*args: Any) -> Any:
        first_cell = args[4]
        of = cpu_reference.Holders(*args).of
        n_rows = [len(tile.cell) for u in range(len(first_cell) - 1) for tile in of(u)]
        into.append(np.concatenate([[0], np.cumsum(n_rows)]))
        with patch.object(holders, "first_rows", lambda *_: into[-1]):
            return holders.Holders(*args)

    with patch.object(cuda, "Holders", laid_out):
        yield


@contextmanager
def _watched(steps: Steps) -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, step in STEPS:
            stack.enter_context(patch.object(module, name, steps.timed(step, getattr(module, name))))
        yield


def measured(whole: h.House, precision: str = "float64", threads: int = 1) -> Measured:
    """Run a house on a device that does nothing."""
    answers: list[Any] = []
    first: list[Any] = []
    with cuda.use(NoDevice()), patch.object(revalue, "SOLVER", _recording(answers)), _laying_out(first):
        h.run(whole, "cuda", threads, precision)
    steps, device = Steps(), NoDevice()
    begin = time.process_time()
    again = patch.object(holders, "first_rows", lambda *_: first.pop(0))
    with cuda.use(device), patch.object(revalue, "SOLVER", _repeating(answers)), again, _watched(steps):
        seconds = h.run(whole, "cuda", threads, precision).seconds
    return Measured(seconds, time.process_time() - begin, steps, device)


def table(of: Measured) -> str:
    """Seconds by step, in the order of a run, and the calls of the device."""
    steps = [step for _, _, step in STEPS]
    lines = [f"{of.steps.seconds[step]:8.3f} s  {step}, {of.steps.calls[step]:,} calls" for step in steps]
    rest = of.processor - sum(of.steps.seconds[step] for step in steps)
    lines += [f"{rest:8.3f} s  all else", f"{of.processor:8.3f} s  in all", f"{of.seconds:8.3f} s  by the clock", ""]
    lines += [f"{count:10,}  launches of {name}" for name, count in of.device.launches.most_common()]
    lines.append(f"{of.device.uploads:10,}  uploads, {of.device.uploaded / 1e6:,.0f} MB")
    lines.append(f"{of.device.downloads:10,}  downloads")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    sizes = {
        "instruments": 100_000,
        "scenarios": 10_000,
        "accounts": 10_000,
        "positions": 1_000_000,
        "underlyings": 50,
    }
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--rates", action="store_true", help="two rates are factors, too")
    parser.add_argument("--precision", default="float64", choices=("float64", "float32"))
    parser.add_argument("--threads", type=int, default=1)
    asked = vars(parser.parse_args())
    precision, threads = asked.pop("precision"), asked.pop("threads")
    whole = h.house(**asked)
    text = ", ".join(f"{asked[name]:,} {name}" for name in sizes) + (", rates" if asked["rates"] else "")
    print(text, "(the host alone, no GPU)")
    print(table(measured(whole, precision, threads)))


if __name__ == "__main__":
    main()
