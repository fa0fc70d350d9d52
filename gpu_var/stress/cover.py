"""Cover 1, Cover 2: the largest losses beyond margin that some groups would leave at once."""

from dataclasses import dataclass

import numpy as np

from gpu_var.tables.book import F8, I8


@dataclass(frozen=True)
class Cover:
    """The groups with the largest shortfalls, scenario by scenario."""

    group: I8  # (n_scenarios, n) rows of groups by shortfall, largest first, ties to the first; −1 where it is 0
    amount: F8  # (n_scenarios, n) Cover 1, Cover 2, …: the sum of the k largest, base currency

    def largest(self, k: int) -> float:
        """Cover k in its worst scenario; 0 without scenarios."""
        return float(self.amount[:, k - 1].max(initial=0.0))

    def worst(self, k: int) -> int:
        """The scenario of the largest Cover k, the first on ties."""
        return int(self.amount[:, k - 1].argmax())


def cover(shortfall: F8, n: int) -> Cover:
    """The n largest shortfalls of every scenario, and what the largest, the two largest, … add up to.

    A group is a member with all its affiliates, each with its clients' accounts (CPMI-IOSCO, Principles for financial
    market infrastructures, 2012, principle 4, key considerations 4 to 6).

    Args:
        shortfall: (n_groups, n_scenarios), 0 or more.
        n: 1 or more; where there are fewer groups, the others count 0.
    """
    by_scenario = shortfall.T
    order = np.argsort(-by_scenario, axis=1, kind="stable")[:, :n]
    largest = np.take_along_axis(by_scenario, order, axis=1)
    missing = n - order.shape[1]
    if missing > 0:
        order = np.pad(order, ((0, 0), (0, missing)), constant_values=-1)
        largest = np.pad(largest, ((0, 0), (0, missing)))
    return Cover(np.where(largest > 0.0, order, -1), np.cumsum(largest, axis=1))
