"""The look-back: the last rows of history that a model uses, and what may not be among them."""

import numpy as np
import numpy.typing as npt

from gpu_var.market.factors import Factors
from gpu_var.tables.book import Book, History
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs, MonteCarlo
from gpu_var.tables.findings import Findings, listed
from gpu_var.tables.times import DAY_US, iso
from gpu_var.tables.where import Where

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

STALE_DAYS = 15


def window(history: History, factors: Factors, model: Fhs | MonteCarlo, as_of_us: int) -> tuple[I8, F8]:
    """(dates (N,), levels (N + 1, F)) of the last N = lookback returns; a return is dated by its later level."""
    stop = int(np.searchsorted(history.date, as_of_us, side="right"))
    rows = slice(max(stop - model.lookback - 1, 0), stop)
    return history.date[rows][1:], np.ascontiguousarray(history.level[rows][:, factors.column])


def check_history(
    book: Book, factors: Factors, config: Config, where: Where, findings: Findings, broken: frozenset[str]
) -> None:
    """Findings on the dates, and on the levels inside the look-back of each model. `book.history.date` ascends."""
    date, as_of = book.history.date, config.as_of_us
    label = where.label("history")
    stop = int(np.searchsorted(date, as_of, side="right"))
    late = np.arange(stop, len(date))
    where.report(
        "history", "date", "late", late, lambda row: f"{iso(date[row])} is after as_of ({iso(as_of)}); expected none"
    )
    if stop and as_of - date[stop - 1] > STALE_DAYS * DAY_US:
        findings.note(f"{label}: the last date, {iso(date[stop - 1])}, is over {STALE_DAYS} days before as_of")
    enabled = [("fhs", config.fhs), ("monte_carlo", config.monte_carlo)]
    models = [(name, model) for name, model in enabled if model is not None and name not in broken]
    _length(stop, models, label, findings)
    _gaps(date[:stop], models, where)
    _levels(book, factors, config, stop, models, where, findings, broken)


_Models = list[tuple[str, Fhs | MonteCarlo]]


def _length(stop: int, models: _Models, label: str, findings: Findings) -> None:
    short: dict[int, list[str]] = {}
    for name, model in models:
        if stop < model.lookback + 1:
            short.setdefault(model.lookback, []).append(f"[{name}]")
    for lookback, names in short.items():
        rows = f"{stop:,} row{'' if stop == 1 else 's'} up to as_of"
        text = (
            f"too short: {rows}; expected {lookback + 1:,} or more, for lookback = {lookback} of {' and '.join(names)}"
        )
        findings.error(label, text, kind="short")


def _gaps(date: I8, models: _Models, where: Where) -> None:
    """Findings for used dates that are too far apart; a gap that several models use is reported once."""
    far: dict[int, int] = {}
    for _, model in models:
        first = max(len(date) - model.lookback - 1, 0)
        rows = np.flatnonzero(np.diff(date[first:]) > model.max_gap_days * DAY_US) + first + 1
        far |= {row: min(model.max_gap_days, far.get(row, model.max_gap_days)) for row in rows.tolist()}

    def text(row: int) -> str:
        days = (date[row] - date[row - 1]) / DAY_US
        apart = f"{iso(date[row])} is {days:g} days after {iso(date[row - 1])}, the used date before it"
        return f"{apart}; expected at most max_gap_days = {far[row]}"

    where.report("history", "date", "gap", np.array(sorted(far), np.intp), text)


def _levels(
    book: Book,
    factors: Factors,
    config: Config,
    stop: int,
    models: _Models,
    where: Where,
    findings: Findings,
    broken: frozenset[str],
) -> None:
    """Findings for null, non-positive and constant levels; notes for constant `fx` and `rate`."""
    longest = max((model.lookback for _, model in models), default=0)
    first = max(stop - longest - 1, 0)
    level = book.history.level[first:stop, factors.column]
    null = np.isnan(level)
    low = ~factors.additive & (level <= 0)
    rule = f"inside the look-back; {config.returns} returns need positive levels"
    for f, name in enumerate(factors.names):
        if name in broken:
            continue
        where.report(
            "history",
            name,
            "null",
            np.flatnonzero(null[:, f]) + first,
            lambda _: f"null inside the look-back; expected a level on each of its {longest + 1:,} dates",
        )
        values = level[:, f]

        def text(row: int, values: F8 = values) -> str:
            return f"{values[row - first]:g} is not positive {rule}"

        where.report("history", name, "positive", np.flatnonzero(low[:, f]) + first, text)
    still: dict[str, str] = {}
    for name, model in models:
        used = level[-model.lookback - 1 :]
        if len(used) < 2:
            continue
        constant = (used == used[0]).all(axis=0)
        for f in np.flatnonzero(constant).tolist():
            still.setdefault(factors.names[f], f"lookback = {model.lookback} of [{name}]")
    label = where.label("history")
    kinds = dict(zip(factors.names, factors.kind, strict=True))
    pegs = [name for name in still if kinds[name] in ("fx", "rate") and name not in broken]
    for name, over in still.items():
        if name not in broken and name not in pegs:
            what = f"constant over the look-back, {over}; expected levels that move"
            findings.error(label, what, column=name, kind="constant")
    if pegs:
        findings.note(f"{label}: constant over the look-back, and not shocked: {listed(pegs)}")
