"""Scenarios as rows, before unnamed factors are filled in: those of the file, and those chosen of the library."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_var.market.levels import factor_levels
from gpu_var.scenarios.library import library, library_moves, movers
from gpu_var.scenarios.written import Written
from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.config import Config

ORIGINS = ("unmoved", "named", "proxy", "beta", "correlation")
UNMOVED, NAMED, PROXY, BETA, CORRELATION = range(len(ORIGINS))

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Rows:
    """n scenarios; columns as in `StressScenarios`."""

    name: tuple[str, ...]
    family: tuple[str, ...]
    of: tuple[str, ...]
    step: I8
    source: tuple[str, ...]
    spreads: F8
    adv: F8
    fill: tuple[str, ...]
    mirror: tuple[bool, ...]
    move: F8  # NaN where not named
    origin: Codes
    taken: Codes

    def take(self, rows: I8) -> "Rows":
        """Some of the scenarios, in this order."""
        kept: list[Any] = [
            value[rows] if isinstance(value, np.ndarray) else tuple(value[row] for row in rows)
            for value in vars(self).values()
        ]
        return Rows(*kept)

    def followed(self, by: "Rows") -> "Rows":
        """These scenarios, and then others."""
        columns: list[Any] = [
            np.concatenate([own, other]) if isinstance(own, np.ndarray) else own + other
            for own, other in zip(vars(self).values(), vars(by).values(), strict=True)
        ]
        return Rows(*columns)


def own_rows(written: Written) -> Rows:
    """The scenarios of the file, a row a step."""
    file, size = written.file, len(written.factors.names)
    steps = [(s, number, move) for s in file.scenario for number, move in enumerate(written.steps(s), 1)]
    move = np.reshape([move for _, _, move in steps], (len(steps), size))
    return Rows(
        name=tuple(f"{s.name}/{number}" if s.step else s.name for s, number, _ in steps),
        family=("written",) * len(steps),
        of=tuple(s.name for s, _, _ in steps),
        step=np.array([number for _, number, _ in steps], np.int64),
        source=tuple(f"{written.name}, step {n} of {len(s.step)}" if s.step else written.name for s, n, _ in steps),
        spreads=np.array([s.spreads for s, _, _ in steps], np.float64),
        adv=np.array([s.adv for s, _, _ in steps], np.float64),
        fill=tuple(s.fill or file.fill for s, _, _ in steps),
        mirror=tuple(file.mirrors if s.mirror is None else s.mirror for s, _, _ in steps),
        move=move,
        origin=np.where(np.isnan(move), UNMOVED, NAMED).astype(np.int8),
        taken=np.full(move.shape, -1, np.int8),
    )


def shipped_rows(
    written: Written, book: Book, config: Config, notes: list[str]
) -> tuple[Rows, tuple[tuple[str, ...], ...]]:
    """The scenarios chosen of the library, and what may stand for each factor, in words."""
    file, factors = written.file, written.factors
    chosen = written.chosen(library())
    moves = movers(book, config.base_currency, factors, written.proxies(chosen))
    level = factor_levels(book, config, factors) if factors.additive.any() else np.zeros(len(factors.names))
    move, named, taken, floored = library_moves(chosen, moves, factors.additive, level)
    if floored:
        text = "falls of 99 % and more, which a lognormal factor cannot take, are taken for 99 %"
        notes.append(f"{written.name}: library: {text}: {floored:,} of them")
    if file.proxies and not chosen.name:
        notes.append(f"{written.name}: [proxies] concern the scenarios of the library, of which none is chosen")
    n = len(chosen.name)
    rows = Rows(
        name=chosen.name,
        family=chosen.family,
        of=chosen.of,
        step=chosen.step,
        source=chosen.dated_source,
        spreads=np.ones(n),
        adv=np.ones(n),
        fill=(file.fill,) * n,
        mirror=(file.mirrors,) * n,
        move=move,
        origin=np.select([named, ~np.isnan(move)], [NAMED, PROXY], UNMOVED).astype(np.int8),
        taken=np.where(named, -1, taken).astype(np.int8),
    )
    return rows, tuple(tuple(one.words for one in of) for of in moves)
