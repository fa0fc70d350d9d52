"""On what a run computes: told in `run.json`, never a part of a number."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from gpu_var.backend import Name
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.cuda.device import current, unavailable

PACKAGES = ("numpy", "scipy", "pyarrow", "arrow", "pydantic", "plotly")


def resolve_backend(backend: str, precision: str) -> Name:
    """The backend that a run will use: `auto` takes the GPU where there is one.

    Raises `UsageError` for an unknown word or a mode that the backend does not have, `RunError` where `cuda` is asked
    for and there is none, saying what is missing.
    """
    if backend not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown backend {backend!r}; expected auto, cpu or cuda")
    if precision not in ("float64", "float32"):
        raise UsageError(f"unknown precision {precision!r}; expected float64 or float32")
    missing = None if backend == "cpu" else unavailable()
    if backend == "cuda" and missing is not None:
        raise RunError(f"--backend cuda: {missing}; or run with --backend cpu, which gives the same margins")
    resolved: Name = "cpu" if backend == "cpu" or missing is not None else "cuda"
    if precision == "float32" and resolved != "cuda":
        why = "" if missing is None else f", and there is no GPU to use: {missing}"
        raise UsageError(f"--precision float32 is a mode of the CUDA kernels; the cpu backend computes in float64{why}")
    return resolved


def device(backend: Name) -> str:
    """The model of the processor that computes."""
    if backend == "cuda":
        return current().name
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
