"""Credits between underlyings: what a scan of each alone does not see.

Sources: CME, *SPAN: inter-commodity spread credits* (weighted futures price risk method).
"""

from collections.abc import Sequence

import numpy as np

from gpu_var.cells import Cells
from gpu_var.tables.book import F8
from gpu_var.tables.config_spreads import InterCommodity


def inter_commodity(
    cells: Cells,
    n_accounts: int,
    delta: F8,
    wfpr: F8,
    most: F8,
    names: Sequence[str],
    spreads: Sequence[InterCommodity],
) -> F8:
    """Credits of the spreads between an account's underlyings, in order of priority.

    Spreads are formed from the deltas that are left: n = min over the legs of available delta/ratio, with the legs of
    positive ratio long and the others short, then the other way round. Each leg is credited WFPR·n·ratio·credit rate.

    Args:
        delta: (n_cells,) net deltas that the inter-month spreads have left, units of the underlying.
        wfpr: (n_cells,) weighted futures price risk, base currency for a unit of delta.
        most: (n_cells,) that a cell can be credited: the risk that is offset.
        names: of the underlyings.
        spreads: those of equal priority keep their order; one that names an unknown underlying is not formed.

    Returns:
        (n_cells,) credits ≥ 0, at most `most`.
    """
    left = delta.copy()
    credit = np.zeros(len(delta))
    row = {name: u for u, name in reversed(list(enumerate(names)))}
    for one in sorted(spreads, key=lambda s: s.priority):
        if any(name not in row for name, _ in one.legs):
            continue
        at = [cells.of(row[name]) for name, _ in one.legs]
        ratio = [r for _, r in one.legs]
        for direction in (1.0, -1.0):
            formed = np.full(n_accounts, np.inf)
            for rows, r in zip(at, ratio, strict=True):
                available = np.zeros(n_accounts)
                available[cells.account[rows]] = np.maximum(left[rows] * np.sign(direction * r), 0.0)
                formed = np.minimum(formed, available / abs(r))
            for rows, r in zip(at, ratio, strict=True):
                used = formed[cells.account[rows]] * abs(r)
                left[rows] -= np.sign(direction * r) * used
                credit[rows] += wfpr[rows] * used * one.credit
    return np.minimum(credit, np.maximum(most, 0.0))
