"""On what a run computes: told in `run.json`, never a part of a number."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from gpu_var.batch.errors import RunError, UsageError

PACKAGES = ("numpy", "scipy", "pyarrow", "arrow", "pydantic", "plotly")


def resolve_backend(backend: str, precision: str) -> str:
    """The backend that a run will use: `auto` takes the fastest there is. Raises `RunError` where it is not there."""
    if backend not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown backend {backend!r}; expected auto, cpu or cuda")
    if precision not in ("float64", "float32"):
        raise UsageError(f"unknown precision {precision!r}; expected float64 or float32")
    if backend == "cuda":
        raise RunError(
            "--backend cuda: this version computes with NumPy on the CPU alone and has no CUDA kernels; "
            "run with --backend cpu or --backend auto, which give the same numbers"
        )
    refuse_precision("cpu", precision)
    return "cpu"


def refuse_precision(backend: str, precision: str) -> None:
    """Raise `UsageError` where the backend has no such mode; `auto` finds no CUDA kernels in this version."""
    if precision == "float32" and backend != "cuda":
        raise UsageError("--precision float32 is a mode of the CUDA kernels; the cpu backend computes in float64")


def device() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def thread_count(threads: int | None) -> int:
    """Threads to compute with: as many as the process may use, unless given. Raises `UsageError` below 1."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise UsageError(f"--threads {threads}; expected at least 1")
    return threads


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a number or a file depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
