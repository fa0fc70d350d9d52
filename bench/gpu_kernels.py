"""The device's ceilings, and each kernel's time and share of the one that binds it; medians, by CUDA events."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))


def milliseconds(xp: Any, f: Callable[[], object], repeat: int = 11) -> float:
    """Median time of `f` on the device, after two warm-up calls; a launcher's own work shows where it is longer."""
    times = []
    for i in range(repeat + 2):
        begin, end = xp.cuda.Event(), xp.cuda.Event()
        begin.record()
        f()
        end.record()
        end.synchronize()
        if i >= 2:
            times.append(xp.cuda.get_elapsed_time(begin, end))
    return float(np.median(times))


def ceilings(xp: Any) -> dict[str, float]:
    """Operations and bytes a second: FMA in both precisions, the special function unit, a copy in memory and in L2."""
    properties = xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)
    module = xp.RawModule(code=Path(__file__).with_name("ceilings.cu").read_text(), options=("--std=c++17",))
    blocks, threads, rounds = properties["multiProcessorCount"] * 16, 256, 4096
    out = {}
    for name, dtype in (("fma_fp64", np.float64), ("fma_fp32", np.float32), ("special_fp32", np.float32)):
        kernel, sums = module.get_function(name), xp.empty(blocks * threads, dtype)
        args = (sums, np.int32(rounds), dtype(0.999), dtype(1e-3))
        ms = milliseconds(xp, lambda k=kernel, a=args: k((blocks,), (threads,), a))
        out[name] = blocks * threads * rounds * 8 / ms * 1e3
    free, _ = xp.cuda.runtime.memGetInfo()
    for name, size in (("copy", min(4 << 30, free // 4)), ("copy_l2", properties["l2CacheSize"] // 4)):
        source, target = xp.random.random(size // 8), xp.empty(size // 8)
        many = 1 if name == "copy" else 50

        def copy(s: Any = source, t: Any = target, many: int = many) -> None:
            for _ in range(many):
                xp.copyto(t, s)

        out[name] = 2.0 * source.nbytes * many / milliseconds(xp, copy) * 1e3
    return out


class Timed:
    """A device that notes when each of its launches begins and ends."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._launches: list[tuple[str, Any, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def launch(self, kernel: str, function: str, *args: Any, **more: Any) -> None:
        """See `gpu_var.cuda.device.Device.launch`."""
        begin, end = self._device.xp.cuda.Event(), self._device.xp.cuda.Event()
        begin.record()
        self._device.launch(kernel, function, *args, **more)
        end.record()
        self._launches.append((f"{kernel}.{function}", begin, end))

    def milliseconds(self) -> dict[str, float]:
        """Time on the device by kernel, the longest first."""
        self._device.xp.cuda.Device().synchronize()
        total: dict[str, float] = {}
        for name, begin, end in self._launches:
            total[name] = total.get(name, 0.0) + self._device.xp.cuda.get_elapsed_time(begin, end)
        return dict(sorted(total.items(), key=lambda item: -item[1]))


Case = tuple[Callable[[], object], float, dict[str, float]]
"""What to time, how many elements it is, and what one element cannot do without: ceiling -> operations or bytes."""


def revalue_cases(cuda: Any, n: int = 4096, scenarios: int = 16_384) -> dict[str, Case]:
    """One maturity, `n` strikes."""
    import pricing  # noqa: PLC0415

    pricing.N_INSTRUMENTS, pricing.N_SCENARIOS = n, scenarios
    out: dict[str, Case] = {}
    for style in ("european", "bachelier", "american"):
        instruments, market, shocks = pricing.book(False, style == "american", style == "bachelier")
        prepared = cuda.prepare(instruments, market, shocks)
        on_device = type(shocks)(*map(cuda.to_device, shocks))
        # Counted in kernels/revalue.cu; an American option has at least 60 more.
        # FP64 instructions an element in the sm_90 code, along a smile; American ones before a fit's coefficients.
        operations = {"european": 93.0, "bachelier": 67.0, "american": 157.0}[style]
        for dtype, unit in (("float64", "fma_fp64"), ("float32", "fma_fp32")):
            pnl = cuda.empty((n, scenarios), dtype)

            def run(i=instruments, m=market, s=on_device, p=prepared, o=pnl) -> None:
                cuda.revalue(i, m, s, p, slice(0, scenarios), o)

            out[f"revalue {style} {dtype}"] = (run, n * scenarios, {unit: operations, "copy": pnl.itemsize})
    return out


def other_cases(cuda: Any, shrink: int = 1) -> dict[str, Case]:
    """Aggregation of a tile, tails, draws, the filter; `shrink` divides their sizes."""
    xp = cuda.current().xp
    rng = np.random.default_rng(0)
    out: dict[str, Case] = {}
    n_cells, n_holdings, tile, width = 6_400 // shrink, 10_240 // shrink, cuda.TILE, cuda.BLOCK // shrink
    key = np.unique(rng.integers(0, n_cells, n_holdings) * tile + rng.integers(0, tile, n_holdings))
    cell, count = np.unique(key // tile, return_counts=True)
    quantity = rng.normal(size=len(key))
    start = np.concatenate([[0], np.cumsum(count)])
    held = cuda.upload(cuda.Holdings(cell.astype(np.intp), start, (key % tile).astype(np.intp), quantity))
    sums = xp.zeros((n_cells, width))
    for dtype in ("float64", "float32"):
        pnl = xp.random.random((tile, width)).astype(dtype)
        item = pnl.itemsize
        needs = {"fma_fp64": 2.0, "copy_l2": item, "copy": 16.0 * len(cell) / len(key)}
        out[f"aggregate {dtype}"] = (lambda h=held, p=pnl: cuda.aggregate(h, p, sums), len(key) * width, needs)
    for rows, n in ((10_000, 10_000), (100, 1_000_000)):
        losses = xp.random.standard_normal((-(-rows // shrink), -(-n // shrink)))
        out[f"tail of {n}"] = (lambda x=losses: cuda.tail(x, 0.99), losses.size, {"copy": 8.0})
    # 73 % of the numbers are in the middle: kernels/philox.cuh.
    number = 0.73 * 45 + 0.27 * 140
    paths = (1 << 20) // shrink
    out["normals"] = (lambda: cuda.normals(1, 0, 0, (paths, 64)), 64 * paths, {"fma_fp64": number, "copy": 8.0})
    for n_paths, n in ((paths, 64), (paths // 4, 256)):
        root, scale, shock = xp.random.random((n, n)), xp.ones(n), xp.empty((n_paths, n))
        needs = {"fma_fp64": number + n, "copy": 8.0}
        out[f"draw {n} factors"] = (
            lambda r=root, s=scale, o=shock: cuda.draw(1, 0, 0, r, s, None, o),
            n_paths * n,
            needs,
        )
    returns = xp.random.standard_normal((2500 // shrink, 4096)) * 0.01
    out["filter"] = (lambda: cuda.filter_ewma(returns, 0.97), returns.size, {"copy": 16.0})
    return out


def measure(xp: Any, cases: dict[str, Case], ceiling: dict[str, float]) -> list[dict[str, Any]]:
    """Each case's time, rate, what binds it by count, and the share of that ceiling it reaches."""
    out = []
    for name, (f, elements, needs) in cases.items():
        ms = milliseconds(xp, f)
        floors = {unit: elements * amount / ceiling[unit] * 1e3 for unit, amount in needs.items()}
        binds = max(floors, key=floors.__getitem__)
        out.append(
            {
                "kernel": name,
                "milliseconds": ms,
                "billion_per_second": elements / ms / 1e6,
                "binds": binds,
                "share": floors[binds] / ms,
            }
        )
    return out
