"""An explanation on the terminal."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_var.batch.explain import Explanation
from gpu_var.report.explain_words import (
    amounts,
    binding_words,
    component,
    core_words,
    expiry,
    percent,
    plain,
    quantity,
    shortened,
    split,
    split_words,
    standing,
)
from gpu_var.report.terminal import console
from gpu_var.tables.findings import escaped

POSITIONS, FACTORS = 15, 12
"""Rows of positions and of factors that are shown; the page has all."""

_NAME = 40
Money = Callable[[float | None], str]


def show(e: Explanation) -> None:
    """Print the composition, the core with its scenarios and shocks, the contributions, and the change, if any."""
    out, money = console(), amounts(e)
    currency = escaped(e.config.base_currency)
    title = f"{escaped(e.account)}: margin {money(_number(e.row['margin']))} {currency}"
    out.print(Text(title, style="bold"))
    out.print(Text(f"as of {e.config.as_of:%Y-%m-%d %H:%M:%S} UTC; amounts in {currency}, losses positive"))
    _composition(out, e, money)
    if e.shares:
        _core(out, e, money)
        _contributions(out, e, money)
    else:
        out.print(Text(core_words(e)))
    if e.change is not None:
        _change(out, e, money)
    for note in e.notes:
        out.print(Text(f"note: {note}"), soft_wrap=True)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _print(
    out: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    foot: Sequence[str] = (),
) -> None:
    """A table under its title; the headings of columns that stand on the right begin with >."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=bool(foot), padding=(0, 1, 0, 0), pad_edge=False)
    for place, heading in enumerate(columns):
        right = heading.startswith(">")
        footer = Text(foot[place]) if foot else ""
        table.add_column(heading.removeprefix(">"), footer=footer, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(Text(title, style="bold"), soft_wrap=True)
    out.print(table)


def _composition(out: Console, e: Explanation, money: Money) -> None:
    margin = float(e.row["margin"] or 0.0)
    rows: list[Sequence[str]] = [
        (
            component(row["component"]),
            escaped(row["underlying"] or "", _NAME),
            money(row["amount"]),
            percent(row["amount"] / margin) if margin else "–",
        )
        for row in e.composition.to_pylist()
    ]
    columns = ["part", "underlying", ">amount", ">share"]
    _print(out, "What it is made of", columns, rows, ("margin", "", money(margin), percent(1.0) if margin else "–"))
    beside = (f"{name} {value if isinstance(value, str) else money(value)}" for name, value in standing(e))
    out.print(Text("; ".join(beside)), soft_wrap=True)


def _core(out: Console, e: Explanation, money: Money) -> None:
    out.print(Text(core_words(e)), soft_wrap=True)
    rows: list[Sequence[str]] = [
        (
            row["model"],
            str(row["rank"]),
            escaped(row["scenario"], _NAME),
            money(row["loss"]),
            percent(row["weight"]) if row["weight"] else "",
            "value at risk" if row["var"] else "",
        )
        for row in e.scenarios.to_pylist()
    ]
    columns = ["model", ">rank", "scenario", ">loss", ">weight", ""]
    if rows:
        _print(out, "The worst scenarios, and their weight in the measure", columns, rows)
    if e.shocks.num_rows:
        shocks = e.shocks.to_pylist()
        rows = [
            (
                escaped(row["factor"], _NAME),
                plain(row["shock"], 5),
                plain(row["before"]),
                plain(row["after"]),
                plain(row["tail_shock"], 5),
            )
            for row in shocks[:FACTORS]
        ]
        columns = ["factor", ">shock", ">level", ">becomes", ">mean of tail"]
        more = f"; {len(shocks) - FACTORS:,} smaller ones are not shown" if len(shocks) > FACTORS else ""
        _print(out, f"What moves in {escaped(binding_words(e))}{more}", columns, rows)
    if e.scan is not None:
        _scan(out, e, money)


def _scan(out: Console, e: Explanation, money: Money) -> None:
    rows: list[Sequence[str]] = [
        (escaped(row["underlying"], _NAME), name.replace("_", " "), value if isinstance(value, str) else money(value))
        for row in (e.scan.to_pylist() if e.scan is not None else [])
        for name, value in row.items()
        if name != "underlying" and value
    ]
    columns = ["underlying", "figure", ">amount"]
    _print(out, "The scan, by underlying", columns, rows)


def _contributions(out: Console, e: Explanation, money: Money) -> None:
    column = split(e)
    if e.contributions[column].null_count:
        return
    total = money(float(pc.sum(e.contributions[column]).as_py() or 0.0))
    what = f"add up to {split_words(e)}"
    for table, by in ((e.by_underlying, "underlying"), (e.by_expiry, "expiry")):
        if table.num_rows > 1:
            rows: list[Sequence[str]] = [
                (_name(row, by), f"{row['positions']:,}" if row.get("positions") else "", money(row[column]))
                for row in shortened(table, column, POSITIONS)
            ]
            columns = [by, ">positions", ">contribution"]
            _print(out, f"Contributions by {by}: they {what}", columns, rows, ("", "", total))
    rows = [
        (
            _name(row, "instrument"),
            escaped(row["underlying"] or "", _NAME),
            expiry(row["expiry"]) if row["instrument"] is not None else "",
            quantity(row["quantity"]),
            money(row[column]),
        )
        for row in shortened(e.contributions, column, POSITIONS)
    ]
    columns = ["position", "underlying", "expiry", ">quantity", ">contribution"]
    _print(out, f"Contributions by position: they {what}", columns, rows, ("", "", "", "", total))


def _name(row: dict[str, Any], by: str) -> str:
    if "others" in row:
        return f"… {row['others']:,} others"
    return expiry(row[by]) if by == "expiry" else escaped(row[by], _NAME)


def _change(out: Console, e: Explanation, money: Money) -> None:
    assert e.change is not None
    rows: list[Sequence[str]] = [("before", "", money(e.before))]
    rows += [(row["step"], money(row["change"]), money(row["margin"])) for row in e.change.to_pylist()]
    total = float(e.change["margin"][-1].as_py()) - float(e.before or 0.0)
    columns = ["moved to the new run, one after another", ">change", ">margin then"]
    _print(out, "Why it has changed", columns, rows, ("in all", money(total), ""))
    if e.drivers is not None and e.drivers.num_rows:
        drivers = e.drivers.to_pylist()
        rows = [(escaped(row["factor"], _NAME), *(plain(row[name]) for name in _DRIVERS)) for row in drivers[:FACTORS]]
        columns = ["factor", ">level", ">now", ">volatility", ">now"]
        more = f"; {len(drivers) - FACTORS:,} more are not shown" if len(drivers) > FACTORS else ""
        _print(out, f"Levels, and forecast volatility a row of history{more}", columns, rows)
    if e.trades is not None and e.trades.num_rows:
        trades = e.trades.to_pylist()
        rows = [
            (escaped(row["instrument"], _NAME), quantity(row["before"]), quantity(row["after"]))
            for row in trades[:POSITIONS]
        ]
        columns = ["position", ">before", ">now"]
        more = f"; {len(trades) - POSITIONS:,} more are not shown" if len(trades) > POSITIONS else ""
        _print(out, f"Positions that differ{more}", columns, rows)


_DRIVERS = ("level_before", "level_after", "volatility_before", "volatility_after")
