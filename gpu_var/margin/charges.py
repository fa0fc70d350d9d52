"""What is added to core, liquidity and concentration: a column of `margin.parquet` for each that is enabled."""

from collections.abc import Callable

import numpy as np

from gpu_var.margin import correlation_break, dependence, diversification, procyclicality, second_order
from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8

Charge = Callable[[Measured], F8 | None]

CHARGES: dict[str, Charge] = {
    "diversification": diversification.charge,
    "dependence": dependence.charge,
    "correlation_break": correlation_break.charge,
    "gamma_charge": second_order.gamma,
    "vega_charge": second_order.vega,
    "short_option_minimum": second_order.short_option_minimum,
    "procyclicality": procyclicality.charge,
}
"""Column -> what the accounts pay, (n_accounts,) in base currency; None where its table is not in the configuration."""


def charges(measured: Measured) -> dict[str, F8]:
    """The enabled charges, (n_accounts,) each, NaN for failed accounts; one that is not finite fails its account."""
    amounts = {name: charge(measured) for name, charge in CHARGES.items()}
    enabled = {name: amount for name, amount in amounts.items() if amount is not None}
    for name, amount in enabled.items():
        for row in np.flatnonzero(~np.isfinite(amount) & ~measured.broken).tolist():
            measured.failed[row] = f"{name} is not finite"
    return {name: np.where(measured.broken, np.nan, amount) for name, amount in enabled.items()}
