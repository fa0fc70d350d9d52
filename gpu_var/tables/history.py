"""The history of the factors' levels."""

import numpy as np

from gpu_var.tables.book import History
from gpu_var.tables.columns import Columns
from gpu_var.tables.schema import factor_kind
from gpu_var.tables.times import NO_TIME, iso


def history(table: Columns | None) -> tuple[History, frozenset[str]]:
    """The levels, NaN where null, and what later checks must leave alone: `dates`, or a column with a refused value."""
    if table is None:
        return History(np.zeros(0, np.int64), (), np.zeros((0, 0))), frozenset(["dates"])
    date = table.times("date")
    known = np.flatnonzero(date != NO_TIME)
    before, after = known[:-1], known[1:]
    same, back = np.zeros(table.rows, np.bool_), np.zeros(table.rows, np.bool_)
    previous = np.zeros(table.rows, np.int64)
    previous[after] = before
    same[after], back[after] = date[after] == date[before], date[after] < date[before]

    def text(row: int, what: str) -> str:
        earlier = int(previous[row])
        rule = "expected dates that strictly ascend"
        return f"{iso(date[row])} {what} {iso(date[earlier])} on {table.place(earlier)}; {rule}"

    table.report("date", "duplicate", same, lambda row: text(row, "is the same as"))
    table.report("date", "order", back, lambda row: text(row, "comes after"))
    names = tuple(name for name in table.raw.columns if factor_kind(name))
    level = np.empty((table.rows, len(names)))
    for i, name in enumerate(names):
        level[:, i] = table.numbers(name)
    broken = {name for name in names if name in table.bad} | table.raw.refused
    if "date" in table.bad or "date" not in table or not table.raw.whole:
        broken.add("dates")
    return History(date, names, level), frozenset(broken)
