"""The look-back: the last rows of history that a model uses, and what may not be among them."""

import numpy as np
import numpy.typing as npt

from gpu_var.market.factors import Factors
from gpu_var.market.stress import Stretch, stretches
from gpu_var.tables.book import Book, History
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs, MonteCarlo
from gpu_var.tables.files import CONFIG
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
    """Findings on the dates, and on the levels that the models and stress periods use. `book.history.date` ascends."""
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
    _windows(config, models, findings)
    periods = [] if config.stress is None or "stress" in broken else stretches(book.history, config)
    used = [(max(stop - model.lookback - 1, 0), stop, model.max_gap_days) for _, model in models]
    if config.stress is not None:
        used += [(rows.first, rows.stop, config.stress.max_gap_days) for rows in periods]
    _gaps(date, used, where)
    longest = max((model.lookback for _, model in models), default=0)
    first = max(stop - longest - 1, 0) if models else stop
    recent = np.arange(first, stop)
    rule = f"inside the look-back; expected a level on each of its {longest + 1:,} dates"
    _levels(book, factors, config, recent, ("inside the look-back", rule), where, broken)
    spans = [np.arange(rows.first, rows.stop) for rows in periods if rows.returns]
    earlier = np.setdiff1d(np.concatenate([np.zeros(0, np.intp), *spans]), recent)
    rule = "inside a stress period; expected a level on each of its dates, and on the one before them"
    _levels(book, factors, config, earlier, ("inside a stress period", rule), where, broken)
    _constant(factors, book.history.level[first:stop, factors.column], models, label, findings, broken)
    _calm(book, factors, periods, label, findings)


_Models = list[tuple[str, Fhs | MonteCarlo]]


def _windows(config: Config, models: _Models, findings: Findings) -> None:
    """A finding where a sub-sample of overlapping windows would have fewer than two."""
    h = config.holding_period_days
    for name, model in models:
        if isinstance(model, Fhs) and model.horizon == "overlapping" and model.lookback < 3 * h - 1:
            text = (
                f"'overlapping' makes {h:,} sub-samples of the {model.lookback:,} returns; expected lookback >= "
                f"3*holding_period_days - 1 = {3 * h - 1:,}, two windows a sub-sample, or 'scale'"
            )
            findings.error(CONFIG, text, place=f"{CONFIG}, key {name}.horizon")


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


def _gaps(date: I8, used: list[tuple[int, int, int]], where: Where) -> None:
    """Findings for used dates that are too far apart; a gap that is used more than once is reported once.

    Args:
        used: (first row, one beyond the last, max_gap_days) of each use.
    """
    far: dict[int, int] = {}
    for first, stop, most in used:
        rows = np.flatnonzero(np.diff(date[first:stop]) > most * DAY_US) + first + 1
        far |= {row: min(most, far.get(row, most)) for row in rows.tolist()}

    def text(row: int) -> str:
        days = (date[row] - date[row - 1]) / DAY_US
        apart = f"{iso(date[row])} is {days:g} days after {iso(date[row - 1])}, the used date before it"
        return f"{apart}; expected at most max_gap_days = {far[row]}"

    where.report("history", "date", "gap", np.array(sorted(far), np.intp), text)


def _levels(
    book: Book,
    factors: Factors,
    config: Config,
    rows: npt.NDArray[np.intp],
    words: tuple[str, str],
    where: Where,
    broken: frozenset[str],
) -> None:
    """Findings for levels that are null or not positive.

    Args:
        rows: of history, ascending.
        words: where they stand, and that with what is expected there.
    """
    level = book.history.level[rows][:, factors.column]
    null = np.isnan(level)
    low = ~factors.additive & (level <= 0)
    inside, rule = words
    for f, name in enumerate(factors.names):
        if name in broken:
            continue
        where.report("history", name, "null", rows[null[:, f]], lambda _: f"null {rule}")
        values = book.history.level[:, factors.column[f]]

        def text(row: int, values: F8 = values) -> str:
            return f"{values[row]:g} is not positive {inside}; {config.returns} returns need positive levels"

        where.report("history", name, "positive", rows[low[:, f]], text)


def _constant(
    factors: Factors, level: F8, models: _Models, label: str, findings: Findings, broken: frozenset[str]
) -> None:
    """Findings for levels that are constant over a look-back; notes for constant `fx` and `rate`."""
    still: dict[str, str] = {}
    for name, model in models:
        used = level[-model.lookback - 1 :]
        if len(used) < 2:
            continue
        constant = (used == used[0]).all(axis=0)
        for f in np.flatnonzero(constant).tolist():
            still.setdefault(factors.names[f], f"lookback = {model.lookback} of [{name}]")
    kinds = dict(zip(factors.names, factors.kind, strict=True))
    pegs = [name for name in still if kinds[name] in ("fx", "rate") and name not in broken]
    for name, over in still.items():
        if name not in broken and name not in pegs:
            what = f"constant over the look-back, {over}; expected levels that move"
            findings.error(label, what, column=name, kind="constant")
    if pegs:
        findings.note(f"{label}: constant over the look-back, and not shocked: {listed(pegs)}")


def _calm(book: Book, factors: Factors, periods: list[Stretch], label: str, findings: Findings) -> None:
    """A note on factors that do not move in a stress period."""
    calm: dict[str, None] = {}
    for rows in periods:
        level = book.history.level[rows.first : rows.stop, factors.column]
        if rows.returns:
            calm |= {factors.names[f]: None for f in np.flatnonzero((level == level[0]).all(axis=0)).tolist()}
    if calm:
        findings.note(f"{label}: constant over a stress period, and not shocked there: {listed(calm)}")
