"""The other side: a market maker, dealers that hold the rest of the open interest, and their delta hedges."""

import numpy as np

from gpu_var.demo.chain import Chain
from gpu_var.demo.source import F8
from gpu_var.demo.strategies import Holdings

MEMBERS = 6
"""Clearing members. Each has one dealer's book; the first has the market maker's too."""


def complete(chain: Chain, customers: Holdings, rng: np.random.Generator) -> Holdings:
    """The customers, then `market-maker`, then `dealer-1`…, so that each option's longs, and its shorts, are its open
    interest.

    The market maker takes the customers' net position with the sign turned. What is then left of the open interest is
    held by the dealers: of each option a random half of them is long and the other half short, in random parts.
    """
    bought = np.maximum(customers.options, 0).sum(axis=0)
    sold = -np.minimum(customers.options, 0).sum(axis=0)
    left = chain.open_interest - np.maximum(bought, sold)
    half, n = MEMBERS // 2, len(chain.name)
    parts = np.concatenate([_parts(left, half, rng), -_parts(left, half, rng)])  # (MEMBERS, n)
    place = rng.permuted(np.tile(np.arange(MEMBERS)[:, None], n), axis=0)
    dealers = np.take_along_axis(parts, place, axis=0)
    names = ["market-maker", *(f"dealer-{number}" for number in range(1, MEMBERS + 1))]
    everyone = extend(customers, names)
    everyone.options[len(customers.account) :] = np.concatenate([(sold - bought)[None, :], dealers])
    return everyone


def _parts(total: F8, count: int, rng: np.random.Generator) -> F8:
    """(count, n): whole contracts that add up to `total` (n,), cut at uniformly random places."""
    cuts = np.sort(np.floor(rng.uniform(size=(count - 1, len(total))) * (total + 1)), axis=0)
    edges = np.concatenate([np.zeros((1, len(total))), cuts, total[None, :]])
    return np.diff(edges, axis=0)


def net_delta(chain: Chain, delta: F8, holdings: Holdings) -> F8:
    """(a,): units of the underlying that each account's options amount to."""
    return np.asarray(holdings.options @ (delta * chain.multiplier))


def is_dealer(holdings: Holdings) -> F8:
    """(a,): 1 for the market maker and the dealers, who hedge their delta, 0 for customers."""
    return np.array([float(name.startswith(("market-maker", "dealer-"))) for name in holdings.account])


def extend(holdings: Holdings, names: list[str]) -> Holdings:
    """The same, and more accounts, which hold no options."""
    return Holdings(
        holdings.account + names,
        np.concatenate([holdings.options, np.zeros((len(names), holdings.options.shape[1]))]),
        np.concatenate([holdings.underlying, np.zeros(len(names))]),
    )
