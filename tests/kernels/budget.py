"""The largest error of each function between the backends, and its share of the budget, printed after the tests."""

from collections import defaultdict

LINES: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
"""(function, device) -> largest error, budget, comparisons."""


def spend(function: str, device: str, error: float, budget: float) -> None:
    """Note a largest error, and fail beyond the budget; NaN is beyond."""
    line = LINES[function, device]
    line[:] = max(line[0], error), budget, line[2] + 1
    assert error <= budget, f"{function} on {device}: largest error {error:.3g}, budget {budget:.3g}"


def table() -> list[str]:
    """A line a function and device."""
    out = []
    for (function, device), (error, budget, count) in sorted(LINES.items()):
        share = f"{error / budget:7.1%} of {budget:.3g}" if budget else "bit for bit"
        out.append(f"{function:<24} {device:<12} largest error {error:9.3g}  {share}  ({count:.0f} comparisons)")
    return out


RESOURCES: dict[tuple[str, str], str] = {}
"""(kernel, architecture) -> what the compiler says that it takes."""


def resources() -> list[str]:
    """A line a kernel and architecture."""
    return [f"{kernel:<32} {architecture:<7} {text}" for (kernel, architecture), text in sorted(RESOURCES.items())]
