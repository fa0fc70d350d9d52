"""What a machine is, and the rates that it reaches with nothing else to do."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from gpu_var.benchmark.clock import timed

_CACHED = 256 << 10
"""Bytes of an array that stays in the second-level cache of a CPU."""


def host_ceilings() -> dict[str, float]:
    """Operations and bytes a second of one core: FMA in both precisions (BLAS), a copy in memory and in cache.

    Keys are those of `Case.needs`; a copy counts what it reads and what it writes.
    """
    out = {}
    with threadpool_limits(limits=1, user_api="blas"):
        for name, dtype in (("fma_fp64", np.float64), ("fma_fp32", np.float32)):
            n = 1024
            a, b, c = (np.full((n, n), 0.5, dtype) for _ in range(3))
            out[name] = n**3 / timed(lambda a=a, b=b, c=c: np.matmul(a, b, out=c), budget=1.0).lower  # type: ignore[misc]
    for name, size, many in (("copy", 256 << 20, 1), ("copy_l2", _CACHED, 200)):
        source, target = np.ones(size // 8), np.zeros(size // 8)

        def copy(source: Any = source, target: Any = target, many: int = many) -> None:
            for _ in range(many):
                np.copyto(target, source)

        out[name] = 2.0 * source.nbytes * many / timed(copy, budget=1.0).lower
    return out


def device_ceilings(xp: Any) -> dict[str, float]:
    """The same of the current CUDA device, and the rate of its special function unit."""
    properties = xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)
    text = Path(__file__).with_name("ceilings.cu").read_text(encoding="utf-8")
    module = xp.RawModule(code=text, options=("--std=c++17",))
    blocks, threads, rounds = properties["multiProcessorCount"] * 16, 256, 4096
    out = {}
    for name, dtype in (("fma_fp64", np.float64), ("fma_fp32", np.float32), ("special_fp32", np.float32)):
        kernel, sums = module.get_function(name), xp.empty(blocks * threads, dtype)
        args = (sums, np.int32(rounds), dtype(0.999), dtype(1e-3))
        ms = device_milliseconds(xp, lambda k=kernel, a=args: k((blocks,), (threads,), a))  # type: ignore[misc]
        out[name] = blocks * threads * rounds * 8 / ms * 1e3
    free, _ = xp.cuda.runtime.memGetInfo()
    for name, size in (("copy", min(4 << 30, free // 4)), ("copy_l2", properties["l2CacheSize"] // 4)):
        source, target = xp.random.random(size // 8), xp.empty(size // 8)
        many = 1 if name == "copy" else 50

        def copy(source: Any = source, target: Any = target, many: int = many) -> None:
            for _ in range(many):
                xp.copyto(target, source)

        out[name] = 2.0 * source.nbytes * many / device_milliseconds(xp, copy) * 1e3
    return out


def device_milliseconds(xp: Any, run: Callable[[], object], repeat: int = 11) -> float:
    """Median time of `run` on the device by its events, after two runs to warm up; a launcher's own work shows where
    it is longer.
    """
    times = []
    for i in range(repeat + 2):
        begin, end = xp.cuda.Event(), xp.cuda.Event()
        begin.record()
        run()
        end.record()
        end.synchronize()
        if i >= 2:
            times.append(xp.cuda.get_elapsed_time(begin, end))
    return float(np.median(times))


def host_facts(threads: int, model: str) -> dict[str, Any]:
    """The CPU, its memory, and the versions that a time depends on."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "threads": threads,
        "memory_gb": round(pages * size / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(sorted({str(one["internal_api"]) for one in threadpool_info()})),
    }


def device_facts(xp: Any) -> dict[str, Any]:
    """The current CUDA device."""
    properties = xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)
    return {
        "gpu": properties["name"].decode(),
        "cuda_driver": xp.cuda.runtime.driverGetVersion(),
        "multiprocessors": properties["multiProcessorCount"],
        "memory_gb": round(properties["totalGlobalMem"] / 1e9, 1),
        "l2_mb": round(properties["l2CacheSize"] / 1e6, 1),
        "cupy": xp.__version__,
    }
