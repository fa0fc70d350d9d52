"""gpu-var: how much collateral every account must post.

    import gpu_var as gv
    run = gv.run(gv.read_book("book"), gv.Config.load("book/margin.toml"))
    run.margin  # a pyarrow.Table

The names below are loaded when they are first used, so that `import gpu_var` is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_var.batch.explain import Explanation, explain
    from gpu_var.batch.run import Run, run
    from gpu_var.batch.stress import StressRun, stress_test
    from gpu_var.engine import price
    from gpu_var.tables.book import Book
    from gpu_var.tables.config import Config
    from gpu_var.tables.findings import InputError
    from gpu_var.tables.load import read_book

__version__ = "0.1.0"

__all__ = [
    "Book",
    "Config",
    "Explanation",
    "InputError",
    "Run",
    "StressRun",
    "__version__",
    "explain",
    "price",
    "read_book",
    "run",
    "stress_test",
]

_ROOM = {
    "Book": "gpu_var.tables.book",
    "Config": "gpu_var.tables.config",
    "Explanation": "gpu_var.batch.explain",
    "InputError": "gpu_var.tables.findings",
    "Run": "gpu_var.batch.run",
    "StressRun": "gpu_var.batch.stress",
    "explain": "gpu_var.batch.explain",
    "price": "gpu_var.engine",
    "read_book": "gpu_var.tables.load",
    "run": "gpu_var.batch.run",
    "stress_test": "gpu_var.batch.stress",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOM[name]), name)


def __dir__() -> list[str]:
    return __all__
