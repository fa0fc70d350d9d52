"""What wider spreads and thinner volumes add to the cost of unwinding."""

from dataclasses import replace

import numpy as np

from gpu_var.margin.addons import add_ons
from gpu_var.margin.measured import Measured
from gpu_var.scenarios.language import StressScenarios
from gpu_var.tables.book import F8


@np.errstate(over="ignore", invalid="ignore")  # of accounts that have failed, which are left out
def liquidation_costs(m: Measured, scenarios: StressScenarios) -> F8:
    """(n_accounts, n_scenarios) the add-ons at the scenario's spreads and volumes less those of today, 0 or more.

    Liquidity and concentration as in `margin.addons`, of the positions' sensitivities today, with every half-spread
    times the scenario's `spreads` and every daily volume (of vega too) times its `adv`. Only what they add is a loss:
    today's add-ons are part of the margin. Where no scenario changes them, a view of a single 0.
    """
    n_accounts, n_scenarios = len(m.book.accounts.house), len(scenarios.spreads)
    volumes, of_scenario = np.unique(scenarios.adv, return_inverse=True)
    if (scenarios.spreads == 1.0).all() and (volumes == 1.0).all():
        return np.broadcast_to(0.0, (n_accounts, n_scenarios))
    liquidity = m.by_account(m.extra.liquidity_delta + m.extra.liquidity_vega)  # in proportion to the spreads
    today = m.by_account(m.extra.concentration)
    thinner = np.stack([_concentration(m, adv) - today for adv in volumes.tolist()], axis=1)
    out = np.outer(liquidity, scenarios.spreads - 1.0)
    out += thinner[:, of_scenario]
    return np.maximum(out, 0.0, out=out)


def _concentration(m: Measured, adv: float) -> F8:
    """(n_accounts,) concentration at other volumes."""
    u = m.book.underlyings
    book = replace(m.book, underlyings=replace(u, adv=u.adv * adv, vega_adv=u.vega_adv * adv))
    return m.by_account(add_ons(book, m.config, m.cells, m.sensitivity, m.cell_core.amount, m.fx).concentration)
