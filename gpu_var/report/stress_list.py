"""`gpu-var stress --list`: the scenarios that ship."""

import sys
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_var.report.stress_words import move
from gpu_var.scenarios.library import library_table

FACTORS = ("SPX", "VIX", "BTC", "WTI", "UST10Y")
"""The moves that have a column of their own; those of yields are differences."""

YIELDS = ("UST10Y",)
_WIDE = 240  # columns where there is no terminal to ask
_SOURCE = 140  # columns from which on there is room for the source


def command() -> int:
    """List the library: name, days, the moves of some of its factors, and where it comes from."""
    rows = library_table().to_pylist()
    out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    columns = {"name": [row["name"] for row in rows], "from, to": [_days(row) for row in rows]}
    columns |= {factor: [_move(row[factor], factor) for row in rows] for factor in FACTORS}
    for name, cells in columns.items():
        justify: Literal["left", "right"] = "right" if name in FACTORS else "left"
        table.add_column(name, justify=justify, no_wrap=True, min_width=max(map(len, [name, *cells])))
    if out.width >= _SOURCE:
        columns["source"] = [row["source"] for row in rows]
        table.add_column("source", overflow="ellipsis", no_wrap=True)
    for texts in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, texts))
    out.print(table)
    print(
        f'{len(rows):,} scenarios, chosen by name or pattern: library = ["history:*", "frb:2025:path/4"] in '
        "scenarios.toml.\nThe grid moves every spot and implied volatility of a book, the others what their factors "
        "stand for ([proxies])."
    )
    return 0


def _days(row: dict[str, Any]) -> str:
    days = [day for day in (row["from"], row["to"]) if day]
    return ", ".join(dict.fromkeys(days))


def _move(amount: float | None, factor: str) -> str:
    if amount is None:
        return "–"
    return move(amount, "bp" if factor in YIELDS else "%")
