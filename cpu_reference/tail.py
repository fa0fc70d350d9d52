"""The tail of a loss distribution, by selection: value at risk, expected shortfall, the worst loss."""

import math
from typing import NamedTuple

import numpy as np

from cpu_reference.types import F8, I8


class Tail(NamedTuple):
    """Measures of each row's losses; all (n_rows,). Losses are positive."""

    var: F8
    es: F8
    worst: F8
    scenario: I8  # of the worst loss, the first on ties
    var_se: F8  # standard errors of a Monte Carlo estimate
    es_se: F8


def tail_size(n_scenarios: int, level: float) -> float:
    """n = N·(1 − level), replaced by the nearest integer where within 1e-9·max(1, n)."""
    n = n_scenarios * (1.0 - level)
    return float(round(n)) if abs(n - round(n)) <= 1e-9 * max(1.0, n) else n


def tail(losses: F8, level: float) -> Tail:
    """Value at risk, expected shortfall and worst loss of N equally likely losses, row by row.

    With the losses worst first: VaR = L_k, k = max(1, ⌈n⌉); ES = (Σ_{i≤⌊n⌋} L_i + (n − ⌊n⌋)·L_{⌊n⌋+1})/n, and L₁ if
    n < 1 (Acerbi & Tasche 2002, eq. 3.2). Standard error of ES: √((s² + level·(ES − VaR)²)/n) with s² the variance
    (ddof 0) of the ⌈n⌉ worst losses (Manistre & Hancock 2005, eq. 6); of VaR: half the distance between the order
    statistics ⌊k − s⌋ and ⌈k + s⌉, s = √(N·level·(1 − level)), clipped to 1…N.

    Args:
        losses: (n_rows, n_scenarios), finite, n_scenarios ≥ 1.
        level: confidence, e.g. 0.99.

    Raises:
        ValueError: no scenario, or a level outside [0, 1).
    """
    rows, n_scenarios = losses.shape
    if n_scenarios < 1:
        raise ValueError(f"losses have shape {losses.shape}; expected at least one scenario")
    if not 0.0 <= level < 1.0:
        raise ValueError(f"level is {level}; expected 0 <= level < 1")
    n = tail_size(n_scenarios, level)
    whole = math.floor(n)
    k = max(1, math.ceil(n))
    spread = math.sqrt(n_scenarios * level * (1.0 - level))
    nearer = max(1, math.floor(k - spread))
    further = min(n_scenarios, math.ceil(k + spread))

    keep = min(n_scenarios, max(further, whole + 1))
    worst_first = -np.partition(-losses, keep - 1, axis=1)[:, :keep] if keep < n_scenarios else losses.copy()
    worst_first.sort(axis=1)
    worst_first = worst_first[:, ::-1]

    var = worst_first[:, k - 1].copy()
    worst = worst_first[:, 0].copy()
    if n < 1.0:
        es = worst.copy()
    else:
        es = worst_first[:, :whole].sum(axis=1)
        if n > whole:
            es += (n - whole) * worst_first[:, whole]
        es /= n
        # The mean of k numbers can round below the smallest of them.
        np.maximum(es, var, out=es)
    s2 = worst_first[:, :k].var(axis=1)
    return Tail(
        var=var,
        es=es,
        worst=worst,
        scenario=losses.argmax(axis=1) if rows else np.zeros(0, dtype=np.intp),
        var_se=0.5 * (worst_first[:, nearer - 1] - worst_first[:, further - 1]),
        es_se=np.sqrt((s2 + level * (es - var) ** 2) / n),
    )
