"""The default waterfall: which resources a loss goes through, and what each pays."""

from dataclasses import dataclass

import numpy as np

from gpu_var.stress.cover import Cover
from gpu_var.stress.house import House
from gpu_var.stress.shortfall import Shortfall
from gpu_var.tables.book import F8, Bool
from gpu_var.tables.config_stress_test import Resources

LAYERS = ("margin", "contribution", "own", "fund", "own_after", "assessments", "uncovered")
"""The defaulters' margin and contributions, the house's own resources, the survivors' contributions, own resources
again, what survivors can be called for, and what nothing covers."""

PREFUNDED = 5
"""The layers that are there before a default: the first so many."""


@dataclass(frozen=True)
class Waterfall:
    """What the layers have and pay when some members default, in base currency."""

    defaulting: Bool  # (n_members, n_scenarios)
    loss: F8  # (n_scenarios,) of the defaulters: what `used` adds up to
    available: F8  # (n_layers, n_scenarios), NaN for "uncovered"
    used: F8  # (n_layers, n_scenarios)
    fund: F8  # (n_members, n_scenarios) what survivors lose of their contributions, pro rata
    assessed: F8  # (n_members, n_scenarios) what survivors are called for, pro rata

    @property
    def uncovered(self) -> F8:
        """(n_scenarios,) what no layer covers."""
        return np.asarray(self.used[-1])

    @property
    def beyond_prefunded(self) -> F8:
        """(n_scenarios,) what assessments are called for, and what they do not cover."""
        return np.asarray(self.used[PREFUNDED:].sum(axis=0))


def groups_of(cover: Cover, house: House, n: int) -> Bool:
    """(n_members, n_scenarios): the member is of one of the n groups with the largest shortfalls."""
    groups = np.zeros((len(house.group_name) + 1, len(cover.group)), dtype=np.bool_)
    np.put_along_axis(groups, cover.group[:, :n].T, True, axis=0)  # −1, no group, is the last row
    return groups[:-1][house.group]


def waterfall(
    shortfall: Shortfall, house: House, rules: Resources, defaulting: Bool, contribution: F8 | None = None
) -> Waterfall:
    """Send the losses of defaulters through the layers (EMIR, Regulation 648/2012, article 45).

    A defaulter's margin, and then its contribution, cover its own loss alone: what is left of them goes back. The
    house's `own` resources come next, then the survivors' contributions pro rata, `own_after`, and assessments of the
    survivors up to `assessment` times their contributions, pro rata too.

    Args:
        shortfall: of every member in every scenario.
        defaulting: (n_members, n_scenarios), or (n_members, 1) for the same defaulters in every scenario.
        contribution: (n_members,) to the default fund, those of the house unless given.
    """
    paid_in = house.contribution if contribution is None else contribution
    n_members, n_scenarios = shortfall.member.shape
    defaulting = np.broadcast_to(defaulting, (n_members, n_scenarios))
    available, used = np.full((len(LAYERS), n_scenarios), np.nan), np.zeros((len(LAYERS), n_scenarios))

    def of_defaulters(values: F8) -> F8:
        return np.asarray(np.where(defaulting, values, 0.0).sum(axis=0))

    loss = of_defaulters(shortfall.loss)
    available[0] = of_defaulters(shortfall.margin)
    beyond_margin = of_defaulters(shortfall.member)
    used[0] = loss - beyond_margin
    available[1] = of_defaulters(paid_in[:, None])
    left = of_defaulters(np.maximum(shortfall.member - paid_in[:, None], 0.0))
    used[1] = beyond_margin - left
    surviving = paid_in[:, None] * ~defaulting
    pool = surviving.sum(axis=0)
    available[2:6] = np.stack(np.broadcast_arrays(rules.own, pool, rules.own_after, rules.assessment * pool))
    for layer in range(2, 6):
        used[layer] = np.minimum(left, available[layer])
        left = left - used[layer]
    used[6] = left
    share = np.divide(surviving, pool, out=np.zeros_like(surviving), where=pool > 0.0)
    return Waterfall(defaulting, loss, available, used, share * used[3], share * used[5])
