"""The default fund: how large it has to be, and what each member has to bring."""

import math
from dataclasses import dataclass

import numpy as np

from gpu_var.stress.cover import Cover
from gpu_var.stress.house import House
from gpu_var.stress.shortfall import Shortfall
from gpu_var.tables.book import F8
from gpu_var.tables.config_stress_test import Resources


@dataclass(frozen=True)
class Fund:
    """The default fund that Cover N asks for, base currency; arrays are (n_members,)."""

    cover: float  # Cover N in its worst scenario
    size: float  # (1 + prudence)·cover but for its last bit, or the sum of the floors where that is more
    stress_loss: F8  # loss over margin: the average over scenarios, or the worst
    share: F8  # of the stress losses of all; they add up to 1, or are 0 throughout
    allocated: F8  # what a member has to bring; `size` is their sum, correctly rounded
    notes: tuple[str, ...]


def fund_of(shortfall: Shortfall, cover: Cover, house: House, rules: Resources) -> Fund:
    """Size the default fund and share it out.

    The size is (1 + prudence) times the largest Cover N over the scenarios. The house's own resources are not deducted:
    they come on top. (EMIR asks less: the fund alone for the largest member or the second and third, article 42.3, and
    fund and other resources together for the two largest, article 43.2.) A member's share is its stress loss over
    margin among those of all, averaged over the scenarios ("average") or in its worst one ("worst"), and it brings at
    least `least_contribution` if it holds anything or has contributed before.
    """
    amount = cover.largest(rules.cover)
    size = (1.0 + rules.prudence) * amount
    if not shortfall.member.shape[1]:
        stress_loss = np.zeros(len(house.name))
    elif rules.allocation == "worst":
        stress_loss = shortfall.member.max(axis=1)
    else:
        stress_loss = shortfall.member.mean(axis=1)
    total = math.fsum(stress_loss)
    share = stress_loss / total if total > 0.0 else np.zeros(len(stress_loss))
    floor = np.where(house.obliged, rules.least_contribution, 0.0)
    floors = math.fsum(floor)
    if floors > size:
        note = (
            f"default fund: the least contributions add up to {floors:,.2f}, more than the {size:,.2f} that Cover "
            f"{rules.cover} asks for; each member brings its least contribution"
        )
        return Fund(amount, floors, stress_loss, share, floor, (note,))
    allocated = shared_out(size, share, floor)
    return Fund(amount, math.fsum(allocated), stress_loss, share, allocated, ())


def shared_out(size: float, share: F8, floor: F8) -> F8:
    """(n,) amounts max(floor, λ·share) that add up to the size, λ such that they do.

    Whoever a share leaves under the floor brings the floor, and the others share out what is left (water-filling: the
    members by floor/share, those with the largest ratio first, until the λ of the others lifts them over theirs). The
    rounding goes to the largest, so that they add up to the size but for its last bit.

    Args:
        size: at least the sum of the floors.
        share: (n,) 0 or more; where all are 0, what is left over the floors is shared out equally.
        floor: (n,) 0 or more.
    """
    if not len(share):
        return np.zeros(0)
    weight = share / share.max() if share.any() else np.ones(len(share))
    with np.errstate(over="ignore"):  # a share may be next to nothing
        ratio = np.divide(floor, weight, out=np.full(len(share), np.inf), where=weight > 0.0)
        order = np.argsort(-ratio, kind="stable")
        # If the first k are at their floors, λ_k is what is left over the weights of the others.
        floors = np.concatenate([[0.0], np.cumsum(floor[order])])
        weights = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
        level = np.divide(size - floors, weights, out=np.zeros(len(weights)), where=weights > 0.0)
    k = int(np.append(level[:-1] >= ratio[order], True).argmax())
    out = np.where(weight > 0.0, np.maximum(floor, level[k] * weight), floor)
    out[order[:k]] = floor[order[:k]]
    largest = int(out.argmax())
    out[largest] += math.fsum([size, *-out])
    return out
