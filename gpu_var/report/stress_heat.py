"""The map of members by scenarios: how large, how dark, and in what order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_var.report.grid import rounded
from gpu_var.report.stress_source import F8, I8, StressSource, Text

ROWS, COLUMNS = 30, 10
"""Scenarios and members of the map before a script runs: the worst."""

CELLS = 60_000
"""Members times scenarios that the page holds; where there are more, those of the worst members."""

STEPS = (0.05, 0.15, 0.3, 0.5, 0.75)
"""Of the largest amount, where its shades change."""

SHADES = len(STEPS) + 1
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
"""Where the shades of loss over margin change: the first four are within the margin."""

_SIZES = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"))


@dataclass(frozen=True, eq=False)
class Heat:
    """The map as it is first shown, and what the script draws it from."""

    member: Text  # (n_columns,) the worst first
    rest: int  # members that are summed in a last column
    scenario: I8  # (n_rows,) the worst first
    cells: list[list[tuple[str, str]]]  # (n_rows, n_columns and the rest): class and text
    bounds: list[float]
    data: dict[str, Any]


def heat(source: StressSource, places: int) -> Heat:
    """Losses beyond margin, the worst scenarios and members first."""
    m = source.members
    n = len(source.scenario)
    order = source.ranked
    held = order[: held_members(n)]
    others = order[len(held) :]
    bounds = ladder(float(m.shortfall.max(initial=0.0)))
    rows = source.order[:ROWS]
    columns = held[:COLUMNS]
    rest = order[len(columns) :]
    amounts = m.shortfall[columns][:, rows].T
    if len(rest):
        amounts = np.concatenate([amounts, m.shortfall[rest][:, rows].sum(axis=0)[:, None]], axis=1)
    return Heat(
        member=m.name[columns],
        rest=len(rest),
        scenario=rows,
        cells=[[(f"h{shade(value, bounds)}", compact(value)) for value in row] for row in amounts.tolist()],
        bounds=bounds,
        data={
            "members": m.name[held].tolist(),
            "groups": m.group[held].tolist(),
            "more": len(others),
            "order": source.order.tolist(),
            "bounds": bounds,
            "ratios": list(RATIOS),
            "columns": COLUMNS,
            "house": _by_scenario(m.house[held], places),
            "client": _by_scenario(m.client[held], places),
            "margin": _by_scenario(m.margin[held], places),
            "shortfall": _by_scenario(m.shortfall[held], places),
            "rest": {
                "loss": rounded(m.loss[others].sum(axis=0), places),
                "margin": rounded(m.margin[others].sum(axis=0), places),
                "shortfall": rounded(m.shortfall[others].sum(axis=0), places),
            },
        },
    )


def held_members(scenarios: int) -> int:
    """How many members the page holds, the worst."""
    return max(COLUMNS, CELLS // max(scenarios, 1))


def ladder(largest: float) -> list[float]:
    """Where the shades of an amount change: `STEPS` of the largest, to two digits, ascending."""
    return [float(f"{step * largest:.2g}") for step in STEPS] if largest > 0.0 else []


def shade(amount: float, bounds: list[float]) -> int:
    """0 for nothing, else 1 to `SHADES`, the largest of the largest."""
    if not amount > 0.0:
        return 0
    return SHADES - len(bounds) + sum(amount >= bound for bound in bounds)


def compact(amount: float) -> str:
    """`12.3m`: three digits and k, m, bn or tn; whole below a thousand."""
    size = abs(amount)
    for unit, name in _SIZES:
        if size >= 0.9995 * unit:
            digits = f"{amount / unit:#.3g}".rstrip(".")
            return f"{digits}{name}"
    return f"{amount:.0f}" if size >= 99.5 or amount == 0 else f"{amount:.3g}"


def rung(bound: float) -> str:
    """A bound of the ladder: `300k`, `1m`."""
    text = compact(bound)
    digits = text.rstrip("kmbnt")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + text[len(digits) :]


def _by_scenario(values: F8, places: int) -> list[list[float | int | None]]:
    """(n_scenarios) lists of the members' values."""
    flat = rounded(values.T.ravel(), places)
    n = values.shape[0]
    return [flat[at : at + n] for at in range(0, len(flat), n)] if n else []
