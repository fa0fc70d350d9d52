"""The strategies that people hold, as data, and how one is put together from a listed chain."""

from dataclasses import dataclass

import numpy as np

from gpu_var.demo.chain import Bool, Chain, Index
from gpu_var.demo.source import F8

CALL, PUT = 1.0, -1.0


@dataclass(frozen=True)
class Leg:
    """`ratio` contracts of a call or put, at a distance of z at-the-money standard deviations from the forward.

    z = "same": exactly the first leg's strike; "mirror": as far beyond the second leg as the first is before it.
    `later`: so many expiries after the first leg's.
    """

    sign: float
    ratio: float
    z: float | str
    later: int = 0


@dataclass(frozen=True)
class Strategy:
    """Held by `accounts` accounts, `copies` times each, at expiries and strikes of their own."""

    name: str
    accounts: int
    legs: tuple[Leg, ...]
    underlying: float = 0.0  # units of the underlying itself, for each that one contract delivers
    copies: int = 3
    share: tuple[float, float] = (0.15, 0.50)  # of the open interest still to be had in the scarcest leg


STRATEGIES = (
    Strategy("covered-call", 4, (Leg(CALL, -1, 0.7),), underlying=1.0),
    Strategy("protective-put", 3, (Leg(PUT, 1, -0.8),), underlying=1.0),
    Strategy("collar", 2, (Leg(PUT, 1, -0.8), Leg(CALL, -1, 0.8)), underlying=1.0),
    Strategy("long-straddle", 2, (Leg(CALL, 1, 0.0), Leg(PUT, 1, "same"))),
    Strategy("short-straddle", 3, (Leg(CALL, -1, 0.0), Leg(PUT, -1, "same"))),
    Strategy("long-strangle", 2, (Leg(PUT, 1, -0.9), Leg(CALL, 1, 0.9))),
    Strategy("short-strangle", 3, (Leg(PUT, -1, -1.0), Leg(CALL, -1, 1.0))),
    Strategy("butterfly", 3, (Leg(CALL, 1, -0.8), Leg(CALL, -2, 0.0), Leg(CALL, 1, "mirror"))),
    Strategy("iron-condor", 2, (Leg(PUT, 1, -1.6), Leg(PUT, -1, -0.9), Leg(CALL, -1, 0.9), Leg(CALL, 1, 1.6))),
    Strategy("calendar", 3, (Leg(CALL, -1, 0.1), Leg(CALL, 1, "same", later=2))),
    Strategy("call-spread", 2, (Leg(CALL, 1, 0.2), Leg(CALL, -1, 1.2))),
    Strategy("risk-reversal", 2, (Leg(PUT, -1, -0.8), Leg(CALL, 1, 0.8))),
    Strategy("naked-put", 3, (Leg(PUT, -1, -1.1),)),
    Strategy("naked-call", 2, (Leg(CALL, -1, 1.2),)),
    # concentrated and directional: one line, most of what there is of it
    Strategy("call-buyer", 2, (Leg(CALL, 1, 0.5),), copies=1, share=(0.6, 0.9)),
    Strategy("put-buyer", 1, (Leg(PUT, 1, -0.5),), copies=1, share=(0.6, 0.9)),
)


@dataclass(frozen=True)
class Holdings:
    """Quantities by account."""

    account: list[str]  # (a,)
    options: F8  # (a, n) contracts, signed
    underlying: F8  # (a,) units of the underlying itself


def hold(chain: Chain, iv: F8, rng: np.random.Generator) -> Holdings:
    """Every account of every strategy.

    Per copy: an expiry at random, in proportion to its open interest (neither the first, nor one without the expiry
    that a later leg needs), the strikes shifted together by up to a quarter of a standard deviation, drawn again until
    the legs are listed just so; then a random share of what the scarcest leg's open interest still leaves on its side,
    in whole contracts. So neither side of an option ever exceeds its open interest.
    """
    room = np.stack([chain.open_interest, chain.open_interest])  # short side, long side
    owners = [(strategy, number) for strategy in STRATEGIES for number in range(1, strategy.accounts + 1)]
    options, underlying = np.zeros((len(owners), len(chain.name))), np.zeros(len(owners))
    for row, (strategy, _) in enumerate(owners):
        for _ in range(strategy.copies):
            legs, size = _draw(chain, iv, strategy, room, rng)
            for leg, option in zip(strategy.legs, legs, strict=True):
                options[row, option] += size * leg.ratio
                room[int(leg.ratio > 0), option] -= size * abs(leg.ratio)
            underlying[row] += size * strategy.underlying * chain.multiplier
    return Holdings([f"{strategy.name}-{number}" for strategy, number in owners], options, underlying)


def _draw(chain: Chain, iv: F8, strategy: Strategy, room: F8, rng: np.random.Generator) -> tuple[list[int], float]:
    """The options of the legs, and how many times the strategy is held."""
    last = len(chain.expiry) - 1 - max(leg.later for leg in strategy.legs)
    weight = np.bincount(chain.slice, chain.open_interest)[1 : last + 1]
    for _ in range(1000):
        expiry = 1 + int(rng.choice(last, p=weight / weight.sum()))
        legs = _legs(chain, iv, strategy, room, expiry, float(rng.uniform(-0.25, 0.25)))
        share = float(rng.uniform(*strategy.share))
        if legs is None or len(set(legs)) < len(legs):
            continue
        sides = [int(leg.ratio > 0) for leg in strategy.legs]
        ratios = np.abs([leg.ratio for leg in strategy.legs])
        size = float(np.floor(share * (room[sides, legs] / ratios).min()))
        if size >= 1:
            return legs, size
    raise ValueError(f"{strategy.name}: the chain lists no such legs with open interest; expected at least one")


def _legs(chain: Chain, iv: F8, strategy: Strategy, room: F8, first: int, shift: float) -> list[int] | None:
    """The listed options nearest to the wanted distances, or None where a strike that must be exact is not listed."""
    legs: list[int] = []
    for leg in strategy.legs:
        there = first + leg.later
        listed = (chain.slice == there) & (chain.sign == leg.sign) & (room[int(leg.ratio > 0)] >= abs(leg.ratio))
        if isinstance(leg.z, str):
            strike = chain.strike[legs[0]] if leg.z == "same" else 2 * chain.strike[legs[1]] - chain.strike[legs[0]]
            found = np.nonzero(listed & (chain.strike == strike))[0]
        else:
            distance = chain.moneyness - (leg.z + shift) * _deviation(chain, iv, there)
            found = _nearest(listed, distance)
        if not len(found):
            return None
        legs.append(int(found[0]))
    return legs


def _deviation(chain: Chain, iv: F8, expiry: int) -> float:
    """σ√T at the money."""
    near = _nearest(chain.slice == expiry, chain.moneyness)[0]
    return float(iv[near] * np.sqrt(chain.years[expiry]))


def _nearest(among: Bool, distance: F8) -> Index:
    rows = np.nonzero(among)[0]
    return rows[np.argsort(np.abs(distance[rows]), kind="stable")[:1]]
