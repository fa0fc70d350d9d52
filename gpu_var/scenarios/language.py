"""The scenarios of a stress test: those written down, and those of the library, as moves of a book's factors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from gpu_var.backend import Name, load_backend
from gpu_var.market.factors import Factors
from gpu_var.market.moves import still_forwards
from gpu_var.scenarios.fill import Moments, by_betas, by_correlation, moments
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.scenarios.stress_rows import BETA, CORRELATION, ORIGINS, PROXY, Codes, Rows, own_rows, shipped_rows
from gpu_var.scenarios.written import Written
from gpu_var.tables.book import F8, I8, Book, Bool
from gpu_var.tables.config import Config
from gpu_var.tables.config_stress_test import StressFile
from gpu_var.tables.files import SCENARIOS
from gpu_var.tables.findings import Findings, listed, shown

__all__ = ["MIRROR", "MODEL", "ORIGINS", "StressScenarios", "scenario_rows", "stress_scenarios"]

MODEL = "stress.test"
"""The set's name: it has a dot, so that it brings nothing to a margin."""

MIRROR = " (mirror)"


@dataclass(frozen=True)
class StressScenarios:
    """n scenarios of a stress test over a run's F factors."""

    set: ScenarioSet  # of model "stress.test"; `shock` (n, F) as the engine takes them
    origin: npt.NDArray[np.int8]  # (n, F) index into ORIGINS
    source: tuple[str, ...]  # (n,) where it comes from, in words with dates
    family: tuple[str, ...]  # (n,) "written" | "history" | "frb" | "grid"
    of: tuple[str, ...]  # (n,) the sequence it is a step of, else its own name
    step: I8  # (n,) 1-based
    spreads: F8  # (n,) factor on spreads, 1 = as today
    adv: F8  # (n,) factor on daily volumes, 1 = as today
    move: F8  # (n, F) logarithms of growth, and differences of additive factors; 0 where unmoved
    by: tuple[tuple[str, ...], ...]  # (F,) what may stand for a factor, in words; `taken` says which did
    taken: npt.NDArray[np.int8]  # (n, F) index into `by` of the factor, −1 but for proxies


def stress_scenarios(
    file: StressFile,
    book: Book,
    config: Config,
    factors: Factors,
    findings: Findings | None = None,
    *,
    name: str = SCENARIOS,
    backend: Name = "cpu",
) -> StressScenarios:
    """The scenarios of a stress test: those written down, those chosen of the library, then mirrors.

    Moves are logarithms of growth, and differences of additive factors (`rate`, and `spot` and `forward` of a normal
    underlying). In them a sequence's steps add up, a mirror has the sign turned, and betas and expectations are linear.
    Scenarios of the library that move nothing of the book are left out, with a note.

    Args:
        file: what scenarios.toml says.
        book: validated by `load`, as are config and factors.
        findings: gets what is wrong, if given; the scenarios are then of no use where something is.
        name: the file's, for messages.
        backend: who estimates the covariance of `fill = "correlation"`.

    Raises:
        InputError: with everything that is wrong, where `findings` is not given.
    """
    into = Findings() if findings is None else findings
    written = Written(file, book, config, factors, into, name)
    notes: list[str] = []
    shipped, by = shipped_rows(written, book, config, notes)
    rows = own_rows(written).followed(shipped)
    notes += _forwards(rows.move, factors, name)
    # One BLAS thread, for several may round differently.
    with threadpool_limits(limits=1, user_api="blas"):
        move, origin = _filled(rows, written, book, config, backend, notes)
    kept = _moving(rows, move, written, notes)
    again = kept[np.array(rows.mirror, np.bool_)[kept]]
    if len(rows.name) and not len(kept):
        text = "no scenario that is chosen moves a factor of the book; expected [[scenario]] or others"
        written.error("library", text)
    if written.checked.idle:
        notes.append(f"{name}: patterns that concern nothing that is held: {listed(written.checked.idle)}")
    moved = np.nan_to_num(np.concatenate([move[kept], -move[again]]), nan=0.0)
    shock = moved if config.returns == "log" else np.where(factors.additive, moved, np.expm1(moved))
    every = rows.take(np.concatenate([kept, again]))
    mirrored = [row >= len(kept) for row in range(len(every.name))]
    of = tuple(whole + MIRROR * turned for whole, turned in zip(every.of, mirrored, strict=True))
    names = [new + own[len(old) :] for new, own, old in zip(of, every.name, every.of, strict=True)]
    _distinct(names, written)
    if findings is None:
        into.raise_if_any()
    return StressScenarios(
        ScenarioSet(MODEL, names, shock, count_floored(shock, factors.additive, config.returns), notes=tuple(notes)),
        origin[np.concatenate([kept, again])],
        tuple(f"mirror of {own}" if t else s for s, own, t in zip(every.source, every.name, mirrored, strict=True)),
        every.family,
        of,
        every.step,
        every.spreads,
        every.adv,
        moved,
        by,
        every.taken,
    )


def _filled(
    rows: Rows, written: Written, book: Book, config: Config, backend: Name, notes: list[str]
) -> tuple[F8, Codes]:
    """Moves and origins with unnamed factors filled, by betas and then by correlation, where `fill` asks for it."""
    move, origin = rows.move.copy(), rows.origin.copy()
    fill = np.array(rows.fill, np.str_)
    betas = written.betas()
    at = np.flatnonzero(fill != "none")
    move[at], new = by_betas(move[at], betas)
    origin[at] = np.where(new, BETA, origin[at])
    at = np.flatnonzero(fill == "correlation")
    if not len(at):
        return move, origin
    if config.fhs is None and config.monte_carlo is None:
        text = "'correlation' needs the history that [fhs] or [monte_carlo] read"
        written.error("fill", f"{text}; expected one of them in the configuration, or 'beta' or 'none'")
    if written.findings.count:  # the history may be what is wrong
        return move, origin
    law = moments(book, config, written.factors, load_backend(backend))
    given = move[at]
    move[at], new = by_correlation(given, law)
    origin[at] = np.where(new, CORRELATION, origin[at])
    beyond = _beyond(given, np.where(new, move[at], 0.0), law)
    if beyond.any():
        names = listed(written.factors.names[f] for f in np.flatnonzero(beyond))
        text = "moves by more standard deviations than any named factor, for those are at odds with their correlation"
        notes.append(f"{written.name}: fill = 'correlation' {text}: {names}")
    return move, origin


def _beyond(given: F8, filled: F8, law: Moments) -> Bool:
    """(F,) whether some scenario fills a factor with a move half as large again as any that is named, each in its own
    standard deviations.
    """
    unit = np.where(law.volatility > 0.0, law.volatility, np.inf)
    named = np.max(np.abs(np.nan_to_num(given, nan=0.0)) / unit, axis=1, initial=0.0)
    return np.asarray((np.abs(filled) / unit > 1.5 * named[:, None] + 1e-12).any(axis=0))


def _forwards(move: F8, factors: Factors, name: str) -> list[str]:
    """A note on forwards that scenarios leave where they are though they move the spot."""
    still: dict[str, None] = {}
    if any(len(curve.factor) for curve in factors.forward):
        for said in np.unique(~np.isnan(move), axis=0):
            still |= dict.fromkeys(still_forwards(said, factors))
    text = f"{name}: scenarios move a spot and not its forward: factors, so that forwards stay unless they are filled"
    return [f"{text}: {listed(still)}"] if still else []


def _moving(rows: Rows, move: F8, written: Written, notes: list[str]) -> I8:
    """The scenarios that are kept, ascending: of the library those that move the book, each move once; notes on the
    others, and on what stays. Sequences stay whole.
    """
    own = np.array([family == "written" for family in rows.family], np.bool_)
    moves = np.nan_to_num(move, nan=0.0)
    moving = {rows.of[row] for row in np.flatnonzero(moves.any(axis=1))}
    idle = ~own & np.array([of not in moving for of in rows.of], np.bool_)
    if idle.any():
        names = listed(rows.name[row] for row in np.flatnonzero(idle))
        notes.append(f"{written.name}: left out of the library, for they move no factor of the book: {names}")
    again = _again(rows, moves, ~own & ~idle)
    if again:
        same = listed(f"{rows.name[row]} ({rows.name[first]})" for row, first in again.items())
        notes.append(f"{written.name}: left out of the library, for others move the book alike: {same}")
    events = ~own & ~idle & np.array([family != "grid" for family in rows.family], np.bool_)
    still = np.flatnonzero(~moves[events].any(axis=0))
    if events.any() and len(still):
        names = listed(written.factors.names[f] for f in still)
        notes.append(f"{written.name}: no event of the library moves {names}; [proxies], [betas] or fill would")
    return np.setdiff1d(np.flatnonzero(~idle), np.array(list(again), np.int64))


def _again(rows: Rows, moves: F8, among: Bool) -> dict[int, int]:
    """Scenarios whose moves another one has as well, and that one: a step of a sequence, else the first."""
    sequence = np.array([name != of for name, of in zip(rows.name, rows.of, strict=True)], np.bool_)
    order = np.concatenate([np.flatnonzero(among & sequence), np.flatnonzero(among & ~sequence)])
    _, kind = np.unique(np.round(moves[order], 12), axis=0, return_inverse=True)
    first: dict[int, int] = {}
    out = {}
    for row, k in zip(order.tolist(), kind.reshape(-1).tolist(), strict=True):
        if first.setdefault(k, row) != row and not sequence[row]:
            out[row] = first[k]
    return dict(sorted(out.items()))


def _distinct(names: Sequence[str], written: Written) -> None:
    """Findings for names that two scenarios have."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            text = f"{shown(name)} is the name of two scenarios, with steps, mirrors and the library counted"
            written.error("scenario.name", f"{text}; expected names that differ")
        seen.add(name)


def scenario_rows(s: StressScenarios, factors: Factors) -> pa.Table:
    """scenarios.parquet: a row a scenario and factor.

    Columns: `scenario`, `sequence`, `step`, `family`, `factor`, `shock`, a relative change or, with `unit`
    "difference", that; `origin`, `by` (which factors of the library stand for it: null but for proxies), `source`.
    """
    n, size = s.origin.shape
    shock = np.where(factors.additive, s.move, np.expm1(s.move))
    words = list(dict.fromkeys(word for of in s.by for word in of))
    code = {word: i for i, word in enumerate(words)}
    width = max((len(of) for of in s.by), default=0)
    codes = np.array([[*(code[w] for w in of), *[-1] * (width + 1 - len(of))] for of in s.by], np.int32)
    by = codes.reshape(size, width + 1)[np.arange(size), s.taken]
    by = np.where(s.origin == PROXY, by, -1)

    def text(values: Sequence[str], index: npt.NDArray[np.integer]) -> pa.Array:
        """A dictionary of the values, taken at the index; null where it is negative."""
        at = pa.array(index.astype(np.int32).ravel(), mask=index.ravel() < 0)
        return pa.array(values, pa.string()).dictionary_encode().take(at)

    row, column = np.repeat(np.arange(n), size), np.tile(np.arange(size), n)
    return pa.table(
        {
            "scenario": text(s.set.name, row),
            "sequence": text(s.of, row),
            "step": pa.array(s.step[row]),
            "family": text(s.family, row),
            "factor": text(factors.names, column),
            "shock": pa.array(shock.ravel()),
            "unit": text(("relative", "difference"), factors.additive[column].astype(np.int8)),
            "origin": text(ORIGINS, s.origin),
            "by": text(words, by),
            "source": text(s.source, row),
        }
    )
