"""Numbers of a benchmark as people read them."""

from typing import Any

from gpu_var.report.money import count

FUNCTION = {
    "revalue european": "European options",
    "revalue bachelier": "Bachelier options",
    "revalue american": "American options",
    "aggregate": "positions into accounts",
    "tail of 10,000": "VaR and ES of 10,000",
    "tail of 1,000,000": "VaR and ES of 1,000,000",
    "filter": "EWMA volatility",
}
UNIT = {
    "fma_fp64": "double-precision operations",
    "fma_fp32": "single-precision operations",
    "special_fp32": "special functions",
    "copy": "memory",
    "copy_l2": "cache",
}


def rate(per_second: float) -> str:
    """`26.1 million`."""
    return count(per_second)


def share(row: dict[str, Any]) -> str:
    """`18 % of memory`: of the ceiling that binds, by count."""
    return f"{100.0 * row['share']:.3g} % of {UNIT[row['binds']]}"


def seconds(side: dict[str, Any]) -> str:
    """`1.52 s (1.39 to 1.58, 6 runs)`, or why there is none."""
    if "skipped" in side:
        return f"– ({side['skipped']})"
    of = side["seconds"]
    spread = f" ({figure(of['lower'])} to {figure(of['upper'])}, {of['runs']} runs)" if of["runs"] > 1 else " (1 run)"
    return f"{figure(of['median'])} s{spread}"


def one_thread(side: dict[str, Any]) -> str:
    """`2.9 s` of a book on one thread; a dash where it was not measured."""
    of = side.get("fewer_threads", {}).get("1")
    return "–" if of is None else f"{figure(of['median'])} s"


def figure(value: float) -> str:
    """Three figures, `1,010` and `0.0123`."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
