"""What a run says on the terminal."""

import sys

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_var.batch.run import Run
from gpu_var.margin.charges import CHARGES
from gpu_var.report.money import count, decimals, money
from gpu_var.tables.findings import escaped

LARGEST = 10
_NAME = 32  # characters of an account's name
_WHOLE = 1e5  # from here on, cents are noise
_ROOM_FOR_MODEL = 100  # columns
_WIDE = 140  # columns where there is no terminal to ask


def console() -> Console:
    """Standard output; without a terminal, wide enough that no number is cut."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)


def show_margins(run: Run, where: str) -> None:
    """The largest margins, the totals, the throughput, and where the outputs are."""
    out = console()
    out.print(_margins(run, out.width))
    out.print(Text(_throughput(run)))
    out.print(Text(f"outputs: {where}"), soft_wrap=True)


def _margins(run: Run, width: int) -> Table:
    count_all = run.margin.num_rows
    order = pc.sort_indices(run.margin, sort_keys=[("margin", "descending"), ("account", "ascending")])
    margins, amounts = _with_charges(run.margin)
    rows = margins.take(order[:LARGEST]).to_pylist()
    total = {name: pc.sum(margins[name]).as_py() or 0.0 for name in amounts}
    largest = max((row["margin"] or 0.0 for row in rows), default=0.0)
    places = 0 if largest >= _WHOLE else decimals(largest)
    title = f"The {len(rows)} largest of {count_all:,} margins" if count_all > len(rows) else "Margins"
    table = Table(
        title=f"{title}, in {run.config.base_currency}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_footer=True,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("account", footer=f"all {count_all:,}")  # the one that may shrink
    columns = {name: [money(row[name], places) for row in rows] for name in amounts}
    for name, cells in columns.items():
        foot = money(total[name], places)
        table.add_column(
            name, footer=foot, justify="right", no_wrap=True, min_width=max(map(len, [name, foot, *cells]))
        )
    if width >= _ROOM_FOR_MODEL:  # else the scenario's name says it as well
        columns["model"] = [row["core_model"] or "–" for row in rows]
        table.add_column("model", no_wrap=True, min_width=max(map(len, ["model", *columns["model"]])))
    columns["worst scenario"] = [row["worst_scenario"] or "–" for row in rows]
    longest = max(map(len, ["worst scenario", *columns["worst scenario"]]))
    table.add_column("worst scenario", no_wrap=True, min_width=longest)
    for row, *cells in zip(rows, *columns.values(), strict=True):
        table.add_row(Text(escaped(row["account"], _NAME), no_wrap=True, overflow="ellipsis"), *map(Text, cells))
    return table


_AMOUNTS = ("margin", "core", "concentration", "liquidity")


def _with_charges(margin: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    """The table, with all charges as one column where there are some, and the columns that add up to the margin."""
    columns = [name for name in CHARGES if name in margin.column_names]
    if not columns:
        return margin, _AMOUNTS
    total = margin[columns[0]]
    for name in columns[1:]:
        total = pc.add(total, margin[name])
    return margin.append_column("charges", total), (*_AMOUNTS, "charges")


def _throughput(run: Run) -> str:
    revaluations = run.counts.get("revaluations", 0)
    seconds = run.timings.get("revalue", 0.0)
    text = f"{count(revaluations)} revaluations"
    if seconds > 0:
        text += (
            f" in {seconds:.2f} s: {count(revaluations / seconds)} a second on {run.threads} threads ({run.backend})"
        )
    return f"{text}; {sum(run.timings.values()):.2f} s in all"
