"""What a scenario model hands to the engine, and how the losses in its scenarios are measured."""

from dataclasses import dataclass

import numpy as np

from cpu_reference import Tail
from gpu_var.backend import Backend
from gpu_var.market.state import FLOOR
from gpu_var.tables.book import F8


@dataclass(frozen=True)
class ScenarioSet:
    """A matrix of factor shocks with a name a row."""

    model: str  # "fhs" | "monte_carlo" | "stress"; auxiliary ones have a dot in their name
    name: list[str]  # (n_scenarios,)
    shock: F8  # (n_scenarios, n_factors): returns, or differences for additive factors
    floored: int  # shocks below the floor of simple returns
    steady: tuple[str, ...] = ()  # factors whose returns do not vary, though they are not 0
    samples: int = 1  # scenario i belongs to sub-sample i mod `samples`, over which the measures are averaged
    notes: tuple[str, ...] = ()  # what making them had to say
    ranked: bool = True  # accounts and cells are measured by their tails; False: profit and loss alone is wanted


def measures(backend: Backend, losses: F8, samples: int, level: float) -> Tail:
    """The tail of the losses; of interleaved sub-samples, the average of their measures.

    Overlapping h-day windows depend on each other; those of one sub-sample do not overlap (as in Eurex's Prisma, whose
    measure is the average over h sub-samples). VaR, ES and their standard errors are averaged: the sub-samples depend
    on each other, and the average of the errors bounds the error of the average. `worst` is the largest loss of all,
    and `scenario` its column among all, the first on ties.

    Args:
        backend: whose arrays the losses are.
        losses: (n_rows, n_scenarios), gains negative; the measures of a row with a NaN are NaN.
        samples: how many; column i belongs to sub-sample i mod samples. 1: `backend.tail` itself, bit for bit.
        level: confidence, e.g. 0.99.

    Returns:
        (n_rows,) each, on the host.

    Raises:
        ValueError: a sub-sample without a scenario, or a level outside [0, 1).
    """
    if samples == 1:
        whole: Tail = backend.tail(losses, level)
        return whole
    # A copy is contiguous, as kernels need it.
    parts = [backend.tail(losses[:, j::samples].copy(), level) for j in range(samples)]
    every = Tail(*(np.stack(column) for column in zip(*parts, strict=True)))
    worst = every.worst.max(axis=0)
    column = every.scenario * samples + np.arange(samples)[:, None]
    first = np.where(every.worst == worst, column, losses.shape[1]).min(axis=0)
    average = {name: getattr(every, name).mean(axis=0) for name in ("var", "es", "var_se", "es_se")}
    return Tail(worst=worst, scenario=np.where(np.isnan(worst), column.min(axis=0), first), **average)


def count_floored(shock: F8, additive: np.typing.NDArray[np.bool_], returns: str) -> int:
    """How many shocks the floor of simple returns, 1 + x ≥ 0.01, binds."""
    if returns != "simple":
        return 0
    return int(np.count_nonzero(1.0 + shock[:, ~additive] < FLOOR))
