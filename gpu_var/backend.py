"""The two backends, NumPy's and CUDA's: modules with the same functions, of which the engine holds one.

What each function computes is written once, in `cpu_reference`.
"""

from importlib import import_module
from typing import Any, Literal

Backend = Any
"""A module that exports the names of `cpu_reference`: its functions take and return the backend's own arrays."""

Name = Literal["cpu", "cuda"]


def load_backend(name: Name) -> Backend:
    """The backend of that name."""
    return import_module({"cpu": "cpu_reference", "cuda": "gpu_var.cuda"}[name])
