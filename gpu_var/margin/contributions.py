"""Which positions a margin comes from: Euler contributions, the positions' mean losses in the account's own tail."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cpu_reference.tail import ranks
from gpu_var.backend import Name
from gpu_var.engine import Progress, nothing
from gpu_var.margin.core import BLEND, brings
from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import measured
from gpu_var.margin.scan.result import ScanResult
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, I4, I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.slices import by_position, of_accounts

TOLERANCE = 1e-9
"""Relative to the sum of the contributions' sizes: how exactly they add up."""

_BYTES = 256 << 20
"""Profit and loss of positions held at a time."""


@dataclass(frozen=True)
class Contributions:
    """Where an account's losses come from, position by position; base currency, losses positive."""

    instrument: I4  # (n_positions,) rows of Book.instruments
    quantity: F8  # (n_positions,) signed contracts
    weight: dict[str, F8]  # model -> (n_scenarios,): of each scenario in the measure, summing to 1
    loss: dict[str, F8]  # model -> (n_positions,): they add up to what the model brings; "scan": to its scan risk
    core: F8 | None  # (n_positions,): they add up to the core, not floored; None where the model has none

    def of(self, model: str) -> float:
        """The sum of a model's contributions."""
        return float(self.loss[model].sum())


def tail_weights(losses: F8, level: float, measure: str, samples: int = 1) -> F8:
    """The weight of each scenario in a measure of the losses: Σ weight·loss is the measure, and Σ weight is 1.

    Contributions with these weights, E[L_i | tail], are the derivatives of the measure by the sizes of the positions,
    and by Euler's theorem add up to it (Tasche 2000, theorem 4.4; for a discrete distribution the part of a scenario
    that completes the tail counts in proportion, Acerbi & Tasche 2002, eq. 4.12). With the losses worst first, the
    first of equal ones first, and n = N·(1 − level): "es" 1/n for each of the ⌊n⌋ worst and what is missing to 1 for
    the next, or 1 for the worst where n < 1; "var" 1 for the max(1, ⌈n⌉)-th; "worst" 1 for the first.

    Args:
        losses: (n_scenarios,).
        measure: "es" | "var" | "worst".
        samples: sub-samples, scenario i in i mod samples, over which "es" and "var" are averaged, as in `ScenarioSet`.
    """
    out = np.zeros(len(losses))
    if samples > 1 and measure != "worst":
        for first in range(samples):
            out[first::samples] = tail_weights(losses[first::samples], level, measure) / samples
        return out
    rank = ranks((1, len(losses)), level)
    order = np.argsort(-losses, kind="stable")
    if measure == "es":
        whole = int(rank.n)
        out[order[:whole]] = 1.0 / rank.n
        if rank.n > whole:
            out[order[whole]] = (rank.n - whole) / rank.n
    else:
        out[order[rank.var - 1 if measure == "var" else 0]] = 1.0
    return out


def measure_of(model: str, config: Config) -> str:
    """The measure that a model brings to core."""
    return "worst" if model == "stress" else config.measure


def core_shares(m: Measured, account: int = 0) -> dict[str, float]:
    """The models that an account's core is made of, and the weight of each: one of weight 1, or the two of a blend."""
    model = m.core.models[int(m.core.model[account])]
    if model != BLEND or m.config.core.stress_weight is None:
        return {model: 1.0}
    simulated = [name for name in ("fhs", "monte_carlo") if name in m.tails]
    largest = max(simulated, key=lambda name: float(brings(name, m.tails[name], m.config)[account]))
    weight = m.config.core.stress_weight
    return {largest: 1.0 - weight, "stress": weight}


def contributions(
    m: Measured,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: Progress = nothing,
) -> Contributions:
    """Split what each model of an account brings among its positions.

    Args:
        m: of a book of one account, which has not failed, with the factors of its whole book.
    """
    config = m.config
    losses = {model: -m.backend.to_host(m.pnl[model][0]) for model in m.tails if "." not in model}
    weight = {
        model: tail_weights(row, config.level, measure_of(model, config), m.sets[model].samples)
        for model, row in losses.items()
    }
    apart = by_position(m.book, 0)
    n = len(apart.positions.quantity)
    loss = {model: np.zeros(n) for model in losses}
    scanned = np.zeros(n)
    for rows, part in _parts(apart, m.sets):
        parted = measured(
            part,
            config,
            m.factors,
            backend=backend,
            precision=precision,
            threads=threads,
            progress=progress,
            sets=list(m.sets.values()),
        )
        for model, out in loss.items():
            used = np.flatnonzero(weight[model])
            out[rows] = -(m.backend.to_host(parted.pnl[model])[:, used] @ weight[model][used])
        if m.scan is not None and parted.scan is not None:
            scanned[rows] = _in_active_scenario(m, m.scan, parted.scan.pnl, apart, rows)
    if m.scan is not None and _adds_up_to_scan(m, m.scan, scanned, apart):
        loss["scan"] = scanned
    shares = core_shares(m)
    core: F8 | None = None
    if shares.keys() <= loss.keys() and ("scan" not in shares or adds_up(scanned, float(m.core.amount[0]))):
        core = np.sum([share * loss[model] for model, share in shares.items()], axis=0)
    return Contributions(
        instrument=apart.positions.instrument,
        quantity=apart.positions.quantity,
        weight=weight,
        loss=loss,
        core=core,
    )


def active_scenarios(m: Measured, scan: ScanResult, cell: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """(n,) the scan's scenario that asks for most of the first account in each of its cells: the cell's own, or the
    account's where all its underlyings move together.
    """
    if _joint(m):
        return np.full(len(cell), scan.name.index(str(scan.worst_scenario[0]).removeprefix("scan:")))
    return scan.columns["active_scenario"][cell].astype(np.intp) - 1


def _joint(m: Measured) -> bool:
    return m.config.scan is not None and m.config.scan.across == "joint"


def _own_cell(m: Measured, apart: Book, rows: I8 | slice) -> npt.NDArray[np.intp]:
    """(n,) the account's cell that each position is in."""
    own = np.flatnonzero(m.cells.account == 0)
    underlying = apart.instruments.underlying[apart.positions.instrument[rows]]
    return own[np.searchsorted(m.cells.underlying[own], underlying)]


def _in_active_scenario(m: Measured, scan: ScanResult, pnl: F8, apart: Book, rows: I8) -> F8:
    """(n,) what positions lose in the scan's active scenario. An underlying that loses in no scenario has no scan risk,
    and its positions have none.
    """
    cell = _own_cell(m, apart, rows)
    lost: F8 = -pnl[np.arange(len(pnl)), active_scenarios(m, scan, cell)]
    return lost if _joint(m) else np.where(scan.columns["scan_risk"][cell] > 0.0, lost, 0.0)


def _adds_up_to_scan(m: Measured, scan: ScanResult, lost: F8, apart: Book) -> bool:
    """Whether the positions' losses are the scan's: not where it discounts or damps a position as a whole."""
    cell, n = _own_cell(m, apart, slice(None)), len(m.cells.account)
    if _joint(m):
        own = np.flatnonzero(m.cells.account == 0)[:1]
        return adds_up(lost, -float(scan.pnl[0, active_scenarios(m, scan, own)].sum()))
    risk = np.where(m.cells.account == 0, scan.columns["scan_risk"], 0.0)
    difference = np.bincount(cell, lost, n) - risk
    return bool((np.abs(difference) <= TOLERANCE * np.bincount(cell, np.abs(lost), n)).all())


def adds_up(parts: F8, whole: float) -> bool:
    """Whether parts add up to the whole, to rounding: relative to the sum of their sizes."""
    return bool(abs(parts.sum() - whole) <= TOLERANCE * max(np.abs(parts).sum(), abs(whole)))


def _parts(apart: Book, sets: dict[str, ScenarioSet]) -> Iterator[tuple[I8, Book]]:
    """Positions whose profit and loss fits the budget, those of an underlying and expiry together, for they share what
    is prepared for their prices: their ascending rows, and their book.
    """
    n_scenarios = sum(len(s.name) for s in sets.values())
    step = max(1, _BYTES // (8 * max(1, n_scenarios)))
    i, at = apart.instruments, apart.positions.instrument
    order = np.lexsort((i.sign[at], i.expiry[at], i.underlying[at]))
    for first in range(0, len(order), step):
        rows = np.sort(order[first : first + step])
        yield rows, of_accounts(apart, rows)
