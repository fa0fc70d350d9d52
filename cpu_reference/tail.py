"""The tail of a loss distribution, by selection: value at risk, expected shortfall, the worst loss."""

import math
from typing import NamedTuple

import numpy as np

from cpu_reference.types import F8, I8

LANES = 1024
"""Partial sums of a row: scenario i adds to lane i mod 1024 in ascending order, then the upper half of the lanes is
added to the lower until one is left. Every backend adds in this order, hence to the same bits."""


class Tail(NamedTuple):
    """Measures of each row's losses; all (n_rows,). Losses are positive."""

    var: F8
    es: F8
    worst: F8
    scenario: I8  # of the worst loss, the first on ties
    var_se: F8  # standard errors of a Monte Carlo estimate
    es_se: F8


class Ranks(NamedTuple):
    """The order statistics that the measures are made of, counted from the worst, 1…N."""

    n: float  # size of the tail, N·(1 − level), at least 1: below, only the worst loss counts
    nearer: int
    var: int
    further: int


def tail_size(n_scenarios: int, level: float) -> float:
    """n = N·(1 − level), replaced by the nearest integer where within 1e-9·max(1, n)."""
    n = n_scenarios * (1.0 - level)
    return float(round(n)) if abs(n - round(n)) <= 1e-9 * max(1.0, n) else n


def ranks(shape: tuple[int, ...], level: float) -> Ranks:
    """VaR's rank k = max(1, ⌈n⌉), and the ranks ⌊k − s⌋ and ⌈k + s⌉, s = √(N·level·(1 − level)), clipped to 1…N.

    Args:
        shape: of the losses, (n_rows, n_scenarios).

    Raises:
        ValueError: no scenario, or a level outside [0, 1).
    """
    n_scenarios = shape[1]
    if n_scenarios < 1:
        raise ValueError(f"losses have shape {shape}; expected at least one scenario")
    if not 0.0 <= level < 1.0:
        raise ValueError(f"level is {level}; expected 0 <= level < 1")
    n = tail_size(n_scenarios, level)
    k = max(1, math.ceil(n))
    spread = math.sqrt(n_scenarios * level * (1.0 - level))
    return Ranks(max(1.0, n), max(1, math.floor(k - spread)), k, min(n_scenarios, math.ceil(k + spread)))


def tail(losses: F8, level: float) -> Tail:
    """Value at risk, expected shortfall and worst loss of N equally likely losses, row by row.

    With the losses worst first: VaR = L_k, k = max(1, ⌈n⌉); ES = VaR + Σ max(L_i − VaR, 0)/n (Rockafellar & Uryasev
    2002, theorem 10). That is (Σ_{i≤⌊n⌋} L_i + (n − ⌊n⌋)·L_{⌊n⌋+1})/n, and L₁ if n < 1 (Acerbi & Tasche 2002, eq. 3.2).
    Standard error of ES: √((s² + level·(ES − VaR)²)/n) with s² the variance (ddof 0) of the k worst losses (Manistre &
    Hancock 2005, eq. 6); of VaR: half the distance between the order statistics `Ranks.nearer` and `Ranks.further`.

    Args:
        losses: (n_rows, n_scenarios), n_scenarios ≥ 1; the measures of a row with a NaN are NaN.
        level: confidence, e.g. 0.99.

    Raises:
        ValueError: no scenario, or a level outside [0, 1).
    """
    n_rows, n_scenarios = losses.shape
    rank = ranks(losses.shape, level)
    at = [n_scenarios - r for r in (rank.nearer, rank.var, rank.further, 1)]
    ordered = np.partition(losses, sorted(set(at)), axis=1)[:, at]
    row, column = np.nonzero(losses > ordered[:, 1, None])
    with np.errstate(over="ignore", invalid="ignore"):  # infinite losses have measures too
        excess = losses[row, column] - ordered[row, 1]
        lanes = min(LANES, 1 << (n_scenarios - 1).bit_length())  # further ones would stay empty
        lane = row * lanes + column % lanes
        total, squares = (_sum_of_lanes(lane, x, n_rows, lanes) for x in (excess, excess * excess))
    return measures(
        rank, level, ordered, total, squares, losses.argmax(axis=1) if n_rows else np.zeros(0, dtype=np.intp)
    )


def _sum_of_lanes(lane: I8, x: F8, n_rows: int, lanes: int) -> F8:
    sums: F8 = np.asarray(np.bincount(lane, weights=x, minlength=n_rows * lanes), dtype=np.float64).reshape(
        n_rows, lanes
    )
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def measures(rank: Ranks, level: float, ordered: F8, total: F8, squares: F8, scenario: I8) -> Tail:
    """The measures of each row from what has been selected and summed.

    Args:
        ordered: (n_rows, 4) the nearer order statistic, VaR, the further one, the worst loss.
        total: (n_rows,) Σ max(L_i − VaR, 0).
        squares: (n_rows,) Σ max(L_i − VaR, 0)².
        scenario: (n_rows,) of the worst loss.
    """
    selected = np.concatenate([ordered.T, [total, squares]])
    # A NaN counts as the worst loss. Adding zero turns −0 into 0.
    nearer, var, further, worst, total, squares = np.where(np.isnan(ordered[:, 3]), np.nan, selected) + 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        beyond = total / rank.n
        mean = total / rank.var
        s2 = np.maximum(squares / rank.var - mean * mean, 0.0)
        return Tail(
            var=var,
            es=var + beyond,
            worst=worst,
            scenario=scenario,
            var_se=0.5 * (nearer - further),
            es_se=np.sqrt((s2 + level * (beyond * beyond)) / rank.n),
        )
