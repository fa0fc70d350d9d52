"""The words of a stress test: layers, families, origins, moves, and the sentences that page and terminal share."""

from collections.abc import Sequence

from gpu_var.report.headlines import short

LAYERS = {
    "margin": ("margin", "c-0"),
    "contribution": ("contributions", "c-5"),
    "own": ("own resources", "c-2"),
    "fund": ("default fund", "c-1"),
    "own_after": ("own resources, second", "c-4"),
    "assessments": ("assessments", "c-3"),
    "uncovered": ("uncovered", "c-x"),
}
"""Layer -> its name and the class of its bar. Margin and contributions are the defaulters', fund and assessments the
survivors'."""

FAMILIES = {"written": "written", "history": "historical", "frb": "Federal Reserve", "grid": "grid"}

ORIGINS = {
    "unmoved": "unmoved",
    "named": "named",
    "proxy": "proxy",
    "beta": "betas",
    "correlation": "correlation",
}
"""How the move of a factor was found -> in words."""

BEFORE = {"margin": "margin", "collateral": "collateral", "larger": "margin or collateral"}


def both(names: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`: names in a sentence."""
    told = [short(name) for name in names]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def unit_of(factor: str, additive: bool) -> str:
    """What a factor's moves are read in, or those of a pattern: %, bp of rates, or nothing for other differences."""
    return "%" if not additive else "bp" if factor.startswith("rate:") else ""


def move(shock: float, unit: str) -> str:
    """A move as it is read: `-30.0 %`, `+50 bp`, `+1.25` of another difference."""
    scale, form = {"%": (100.0, "+.1f"), "bp": (10_000.0, "+.0f"), "": (1.0, "+.4g")}[unit]
    text = format(scale * shock, form)
    return f"{'0' if float(text) == 0.0 else text} {unit}".rstrip()


def plural(number: int, one: str, many: str = "") -> str:
    """`1 scenario`, `2 scenarios`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
