"""A cap on the diversification benefit (IRM-2 style)."""

import numpy as np

from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8


def undiversified(alone: F8, core: F8, cap: float) -> F8:
    """(n,) the benefit that is not recognised: (1 − cap)·max(0, Σ_u max(0, R_u) − max(0, core)).

    With it an account posts Σ R − cap·(Σ R − core): of what its underlyings save by standing together it keeps the
    share `cap`, at most 80 % by Commission Delegated Regulation (EU) 153/2013, Art. 27(4).

    Args:
        alone: (n,) Σ_u max(0, R_u), the core of each of an account's underlyings alone, added up; base currency.
        core: (n,) of the whole account, not floored.
        cap: 0 (no offsets between underlyings) to 1 (all of them).
    """
    return np.asarray((1.0 - cap) * np.maximum(alone - np.maximum(core, 0.0), 0.0))


def charge(m: Measured) -> F8 | None:
    """(n_accounts,) base currency, ≥ 0; None without [diversification]."""
    table = m.config.diversification
    if table is None:
        return None
    alone = m.by_account(np.maximum(m.cell_core.amount, 0.0))
    return undiversified(alone, m.core.amount, table.cap)
