"""What is added to core, liquidity and concentration: a column of `margin.parquet` for each that is enabled."""

from collections.abc import Callable

import numpy as np

from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8

Charge = Callable[[Measured], F8 | None]

CHARGES: dict[str, Charge] = {}
"""Column -> what the accounts pay, (n_accounts,) in base currency; None where its table is not in the configuration."""


def charges(measured: Measured) -> dict[str, F8]:
    """The enabled charges, (n_accounts,) each, NaN for failed accounts."""
    out = {}
    for name, charge in CHARGES.items():
        amount = charge(measured)
        if amount is not None:
            out[name] = np.where(measured.broken, np.nan, amount)
    return out
