"""Which accounts the tail is made of."""

from dataclasses import dataclass

import numpy as np

from gpu_var.stress.cover import Cover
from gpu_var.tables.book import F8, I8, Bool

SCENARIOS = 10
"""The scenarios that are looked into: those with the largest Cover N."""

ACCOUNTS = 20
"""The accounts that are named in each."""


@dataclass(frozen=True)
class Concentration:
    """The worst scenarios, worst first, and the accounts that lose most beyond what stands before them."""

    scenario: I8  # (k,)
    account: I8  # (k, m) rows of accounts, largest first; −1 beyond the last that loses anything
    over: F8  # (k, m) loss beyond what stands before it, base currency
    total: F8  # (k,) of all accounts
    half: I8  # (k,) so many accounts make up half of the total
    herfindahl: F8  # (k,) Σ share², 1 where one account is all of it; 0 where there is nothing


def concentration(loss: F8, before: F8, failed: Bool, cover: Cover, n: int) -> Concentration:
    """The accounts that drive the worst scenarios.

    Each account's loss beyond its own margin (or collateral) counts, max(0, loss − before), before anything nets: so a
    house account, and an omnibus one, may stand here although its member has no shortfall.

    Args:
        loss: (n_accounts, n_scenarios).
        before: (n_accounts, n_scenarios).
        failed: (n_accounts,), left out.
        cover: of the groups.
        n: whose Cover N ranks the scenarios.
    """
    scenario = np.argsort(-cover.amount[:, n - 1], kind="stable")[:SCENARIOS]
    over = np.maximum(np.where(failed[:, None], 0.0, loss[:, scenario] - before[:, scenario]), 0.0).T
    order = np.argsort(-over, axis=1, kind="stable")
    ranked = np.take_along_axis(over, order, axis=1)
    total = ranked.sum(axis=1)
    running = np.cumsum(ranked, axis=1)
    half = np.where(total > 0.0, np.argmax(running >= 0.5 * total[:, None], axis=1) + 1, 0) if len(loss) else total
    share = np.divide(ranked, total[:, None], out=np.zeros_like(ranked), where=total[:, None] > 0.0)
    return Concentration(
        scenario,
        np.where(ranked > 0.0, order, -1)[:, :ACCOUNTS],
        ranked[:, :ACCOUNTS],
        total,
        half.astype(np.int64),
        (share * share).sum(axis=1),
    )
