"""What the margin rises to where dependence is not what history says (STANS style)."""

import numpy as np

from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8


def dependence_addon(base: F8, perfect: F8, zero: F8, share: float) -> F8:
    """(n,) share·max(0, max(perfect, zero) − base), as in the margin methodology that OCC publishes (share 0.25).

    Args:
        base: (n,) the measure of the Monte Carlo run, losses positive, not floored.
        perfect: (n,) the same where one number drives every factor.
        zero: (n,) the same where the factors are independent.
        share: 0 to 1.
    """
    return np.asarray(share * np.maximum(np.maximum(perfect, zero) - base, 0.0))


def charge(m: Measured) -> F8 | None:
    """(n_accounts,) base currency, ≥ 0, by the run's own measure; None without `[monte_carlo] dependence_addon`."""
    model = m.config.monte_carlo
    if model is None or model.dependence_addon is None:
        return None
    base, perfect, zero = (
        getattr(m.tails[name], m.config.measure) for name in ("monte_carlo", "monte_carlo.perfect", "monte_carlo.zero")
    )
    return dependence_addon(base, perfect, zero, model.dependence_addon)
