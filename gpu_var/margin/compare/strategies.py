"""Pairing the options of a portfolio: covers, spreads, straddles, and what a set of spreads can lose together.

Every step runs over all portfolios at once, and every order in it is fixed: short options never change their turn
because a long one is added, and each takes the best that is left. So a further long option never makes any unit of a
short one dearer (serial dictatorship: a larger choice, and no more taken away by those before). A portfolio is an
account's holding in one underlying; strikes, premiums and amounts are for one unit of the underlying.
"""

from typing import NamedTuple

import numpy as np

from gpu_var.margin.compare.segments import overlaps, running, starts, totals
from gpu_var.tables.book import F8, I8, Bool


class Legs(NamedTuple):
    """Options of one direction, short or long; all (n,)."""

    group: I8  # the portfolio, from 0
    sign: F8  # +1 call, −1 put
    strike: F8
    expiry: I8
    price: F8
    size: F8  # units, ≥ 0

    def take(self, rows: I8) -> "Legs":
        """Some of the options."""
        return Legs(
            self.group[rows], self.sign[rows], self.strike[rows], self.expiry[rows], self.price[rows], self.size[rows]
        )


class Pieces(NamedTuple):
    """Units of short options, each with the long option that covers them; all (n_pieces,)."""

    short: I8  # row of the short legs
    long: I8  # row of the long legs; −1: none
    size: F8  # > 0

    def take(self, rows: Bool) -> "Pieces":
        """Some of the pieces."""
        return Pieces(self.short[rows], self.long[rows], self.size[rows])


def covered(legs: Legs, requirement: F8, group: I8, units: F8) -> F8:
    """(n,) units of short options that the underlying itself covers: the dearest options first.

    Args:
        legs: short options, each of a right that the portfolio's holding of the underlying covers.
        requirement: (n,) of a unit without cover.
        group: portfolios that hold the underlying, ascending.
        units: how many of it each has, > 0.
    """
    order = np.lexsort((legs.strike, legs.expiry, -requirement, legs.group))
    order = order[legs.size[order] > 0]
    match = overlaps(legs.group[order], legs.size[order], group, units)
    both = (match.first >= 0) & (match.second >= 0)
    return totals(order[match.first[both]], match.size[both], len(legs.size))


def spreads(short: Legs, long: Legs) -> tuple[Pieces, F8]:
    """Cover short options by long ones of the same right that do not expire earlier.

    Turn of the short options: latest expiry first, then the strike most in the money (calls: lowest, puts: highest).
    Each takes the long option most in the money; at equal strikes the one that expires first.

    Returns:
        The pieces, in that order, and (n_long,) the units of long options that cover nothing.
    """
    side, other = _side(short), _side(long)
    level, other_level = short.sign * short.strike, long.sign * long.strike
    rank = _rank(side, short.expiry)
    turn = np.lexsort((-short.price, level, side))
    turn = turn[short.size[turn] > 0]
    choice = np.lexsort((long.price, long.expiry, other_level, other))
    left = long.size.copy()
    due = np.full(int(max(side.max(initial=-1), other.max(initial=-1))) + 1, np.iinfo(np.int64).max)
    found = []
    for nth in range(int(rank.max(initial=-1)) + 1):
        now = turn[rank[turn] == nth]
        due[:] = np.iinfo(np.int64).max
        due[side[now]] = short.expiry[now]
        able = choice[(left[choice] > 0) & (long.expiry[choice] >= due[other[choice]])]
        match = overlaps(side[now], short.size[now], other[able], left[able])
        mine = match.first >= 0
        taken = np.append(able, -1)[match.second[mine]]
        found.append(Pieces(now[match.first[mine]], taken, match.size[mine]))
        spare = ~mine
        left[able] = totals(match.second[spare], match.size[spare], len(able))
    none = np.zeros(0, dtype=np.int64)
    pieces = [Pieces(none, none, np.zeros(0)), *found]
    return Pieces(*(np.concatenate(column) for column in zip(*pieces, strict=True))), left


def width(short: Legs, long: Legs, pieces: Pieces) -> F8:
    """(n_pieces,) what a unit of each spread can lose at expiry, before premiums: max(0, ±(long − short strike)).

    Infinite where nothing covers the short option.
    """
    sign = short.sign[pieces.short]
    far = np.append(long.strike, np.nan)[pieces.long]
    loss = np.maximum(sign * (far - short.strike[pieces.short]), 0.0)
    return np.where(pieces.long >= 0, loss, np.inf)


def straddles(short: Legs, requirement: F8, pieces: Pieces) -> tuple[I8, I8, F8]:
    """Pair pieces of short calls with pieces of short puts of the same portfolio, the dearest options first.

    Args:
        requirement: (n_short,) of a unit without cover; the pairing depends on it, and on no long option.

    Returns:
        Rows of the pieces of calls and of puts, −1 where the other side is used up, and the units of each pair.
    """
    of = pieces.short
    order = np.lexsort((of, short.strike[of], short.expiry[of], -requirement[of], short.group[of]))
    call = short.sign[pieces.short[order]] > 0
    calls, puts = order[call], order[~call]
    group = short.group[pieces.short]
    match = overlaps(group[calls], pieces.size[calls], group[puts], pieces.size[puts])
    return np.append(calls, -1)[match.first], np.append(puts, -1)[match.second], match.size


def worst_loss(group: I8, strike: F8, call: Bool, size: F8, n: int) -> F8:
    """(n,) the largest loss at expiry of sets of spreads, before premiums, over all prices of the underlying; ≥ 0.

    It is where the price is one of the strikes, or beyond them all (Cboe Rule 12.3(a)(5), SR-CBOE-2012-043).

    Args:
        group: (n_legs,) the set, 0…n − 1.
        strike, call: of each leg.
        size: (n_legs,) units, short positive, long negative; those of a set's calls add up to 0, and those of its puts.
    """
    order = np.lexsort((strike, group))
    group, strike, put, size = group[order], strike[order], ~call[order], size[order]
    new = starts(group)
    below = totals(group, np.where(put, size * strike, 0.0), n)  # the loss where the price is below every strike
    slope = running(size, group)  # a leg bends the loss upwards by its size, call or put
    rise = np.where(new, 0.0, np.append(0.0, slope[:-1] * np.diff(strike))[: len(new)])
    loss = below[group] + running(rise, group)
    out = np.zeros(n)
    np.maximum.at(out, group, loss)
    return out


def _side(legs: Legs) -> I8:
    """Portfolio and right as one number."""
    return legs.group * 2 + (legs.sign > 0)


def _rank(side: I8, expiry: I8) -> I8:
    """(n,) the place of an expiry among its side's, 0 the latest."""
    order = np.lexsort((-expiry, side))
    s, e = side[order], expiry[order]
    first = starts(s)
    count = np.cumsum(first | (e != np.append(e[:1], e[:-1])))
    begin = np.maximum.accumulate(np.where(first, np.arange(len(s)), 0))
    out = np.zeros(len(side), dtype=np.int64)
    out[order] = count - count[begin]
    return out
