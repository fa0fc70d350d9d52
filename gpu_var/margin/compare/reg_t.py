"""Strategy-based margin in the style of Regulation T and of the Cboe margin manual.

What is computed is the equity that an account needs, its options and stock counted at today's prices: the deposit that
the rules ask for, after the proceeds of the options sold are applied, plus what has been paid for the options bought.
It is the basis of Cboe's own comparisons with portfolio margin. With 100 % of the premium of the options held short
added it is the "requirement" that the manual states first.

Each account, underlying by underlying, in this order:

1. The underlying itself covers short options: what is held covers calls, what is sold short covers puts; the dearest
   options first. No margin on the option, but stock under a call in the money lends on the strike alone, and stock
   sold short over a put in the money needs the amount by which it is in the money.
2. Long options cover short ones of the same right that do not expire later: the strike difference, or the requirement
   of the naked option where that is less. Long options are paid for in full.
3. Naked short options: premium + max(20 % of the underlying (broad index: 15 %) − amount out of the money, 10 % of
   the underlying (puts: of the strike)).
4. The lesser of two over all of it:
   a. short calls with short puts, the dearest with the dearest: each pair the lesser of its two sides apart, of the
      straddle (the greater of the naked requirements + the other's premium), and of the iron condor's worst loss;
   b. all spreads that expire together (butterflies, condors, boxes): their worst joint loss at any price.

Stock: 50 %, long or short. Long options that cover nothing and have more than nine months to run: 75 %. Futures and
perpetuals: 15 % of the notional, as security futures in the United States (17 CFR 242.403(b)); they cover no options.

Sources: Federal Reserve, Regulation T (12 CFR 220); Cboe Margin Manual (2000) and Rule 10.3; FINRA Rule 4210(f)(2);
SR-CBOE-2012-043 for sets of spreads.
"""

from collections.abc import Sequence

import numpy as np

from gpu_var.margin.compare.positions import Held
from gpu_var.margin.compare.segments import totals
from gpu_var.margin.compare.strategies import Legs, Pieces, covered, spreads, straddles, width, worst_loss
from gpu_var.tables.book import F8, I8, Bool
from gpu_var.tables.config_compare import RegT

_MONTH = 365 * 86_400 * 1_000_000 / 12  # microseconds


def naked(spot: F8, strike: F8, sign: F8, price: F8, rate: F8, minimum: float) -> F8:
    """(n,) what a unit of a short option needs without cover: its premium, and max(rate·S − amount out of the money,
    minimum·S (calls) or minimum·K (puts)); in the underlying's currency.
    """
    out_of_the_money = np.maximum(sign * (strike - spot), 0.0)
    least = minimum * np.abs(np.where(sign > 0, spot, strike))
    return np.asarray(price + np.maximum(rate * np.abs(spot) - out_of_the_money, least))


def margins(held: Held, rules: RegT, index: Bool, as_of_us: int, n: int) -> F8:
    """(n,) the equity that each account needs, in base currency, ≥ 0.

    Args:
        held: the positions of all accounts.
        index: (n_underlyings,) broad index, so that the lower rate applies.
        as_of_us: microseconds since 1970 UTC.
        n: the number of accounts.
    """
    key = held.account * max(1, len(index)) + held.underlying
    portfolio, first, group = np.unique(key, return_index=True, return_inverse=True)
    deposit = _stock(held, rules, group, len(portfolio)) + _options(held, rules, index, as_of_us, group, len(portfolio))
    cash = totals(held.account[first], deposit * held.fx[first], n)
    cash += totals(held.account, np.where(held.future, rules.futures * held.notional, 0.0), n)
    return np.maximum(cash + totals(held.account, held.value, n), 0.0)


def _stock(held: Held, rules: RegT, group: I8, n: int) -> F8:
    """(n,) cash that stock needs beside its own value: −50 % of it, which it lends, or 150 % where it is sold short."""
    need = np.where(held.units > 0, rules.stock - 1.0, -1.0 - rules.stock) * held.units * held.spot
    return totals(group, np.where(held.stock, need, 0.0), n)


def _options(held: Held, rules: RegT, index: Bool, as_of_us: int, group: I8, n: int) -> F8:
    """(n,) cash that a portfolio's options need beside their own value."""
    short, long = held.option & (held.units < 0), held.option & (held.units > 0)
    legs, bought = _legs(held, group, short), _legs(held, group, long)
    rate = np.where(index[held.underlying[short]], rules.naked_index, rules.naked)
    spot = held.spot[short]
    alone = naked(spot, legs.strike, legs.sign, legs.price, rate, rules.naked_minimum)

    stock = totals(group, np.where(held.stock, held.units, 0.0), n)
    under = _covered(legs, alone, stock)
    lost = np.where(legs.sign > 0, (1.0 - rules.stock) * (spot - legs.strike), legs.strike - spot)
    cash = totals(legs.group, under * np.maximum(lost, 0.0), n)
    rest = legs._replace(size=legs.size - under)

    pieces, spare = spreads(rest, bought)
    cash += _spread_and_naked(rest, bought, alone, pieces, n)
    late = bought.expiry > as_of_us + rules.long_term_months * _MONTH
    lent = np.where(late, (1.0 - rules.long_term) * bought.price * spare, 0.0)
    return cash - totals(bought.group, lent, n)


def _legs(held: Held, group: I8, rows: Bool) -> Legs:
    part = held.take(rows)
    return Legs(group[rows], part.sign, part.strike, part.expiry, part.price, np.abs(part.units))


def _covered(legs: Legs, requirement: F8, stock: F8) -> F8:
    """(n_legs,) units that the underlying covers; `stock` (n_portfolios,) is how many of it are held, signed."""
    able = np.flatnonzero(legs.sign * stock[legs.group] > 0)
    holders = np.flatnonzero(stock)
    out = np.zeros(len(legs.size))
    out[able] = covered(legs.take(able), requirement[able], holders, np.abs(stock[holders]))
    return out


def _spread_and_naked(short: Legs, long: Legs, alone: F8, pieces: Pieces, n: int) -> F8:
    """(n,) step 4: the lesser of pairs of calls and puts, and of sets of spreads."""
    apart = alone[pieces.short]
    between = width(short, long, pieces)
    spread = between <= apart
    apart = np.where(spread, between, apart)
    group = short.group[pieces.short]

    call, put, size = straddles(short, alone, pieces)
    pair = (call >= 0) & (put >= 0)
    one = np.where(call >= 0, call, put)
    amount = size * apart[one]
    amount[pair] = size[pair] * _pairs(short, long, alone, pieces, call[pair], put[pair], apart, spread)
    paired = totals(group[one], amount, n)

    loose = totals(group, np.where(spread, 0.0, pieces.size * apart), n)
    together: F8 = loose + _sets(short, long, pieces.take(spread), n)
    return np.minimum(paired, together)


def _pairs(short: Legs, long: Legs, alone: F8, pieces: Pieces, call: I8, put: I8, apart: F8, spread: Bool) -> F8:
    """(n_pairs,) the least that a unit of a short call with a unit of a short put needs."""
    c, p = pieces.short[call], pieces.short[put]
    greater = alone[c] >= alone[p]
    straddle = np.where(greater, alone[c] + short.price[p], alone[p] + short.price[c])
    least = np.minimum(apart[call] + apart[put], straddle)
    both = np.flatnonzero(spread[call] & spread[put] & (short.expiry[c] == short.expiry[p]))
    one = np.ones(len(both))
    calls = one > 0
    legs = [  # of each condor: short call, long call, short put, long put
        (short.strike[c[both]], calls, one),
        (long.strike[pieces.long[call[both]]], calls, -one),
        (short.strike[p[both]], ~calls, one),
        (long.strike[pieces.long[put[both]]], ~calls, -one),
    ]
    least[both] = np.minimum(least[both], _worst(np.arange(len(both)), legs, len(both)))
    return np.asarray(least)


def _sets(short: Legs, long: Legs, pieces: Pieces, n: int) -> F8:
    """(n,) the worst joint losses of the spreads that expire together, added up over expiries."""
    group, expiry = short.group[pieces.short], short.expiry[pieces.short]
    order = np.lexsort((expiry, group))
    new = np.append(True, (np.diff(group[order]) != 0) | (np.diff(expiry[order]) != 0))[: len(order)]
    which = np.zeros(len(order), dtype=np.int64)
    which[order] = np.cumsum(new) - 1
    calls = short.sign[pieces.short] > 0
    legs = [(short.strike[pieces.short], calls, pieces.size), (long.strike[pieces.long], calls, -pieces.size)]
    worst = _worst(which, legs, int(new.sum()))
    return totals(group[order][new], worst, n)


def _worst(which: I8, legs: Sequence[tuple[F8, Bool, F8]], n: int) -> F8:
    """`worst_loss` of legs given as (strike, call, size), each for all of `which`."""
    strike, call, size = (np.concatenate(column) for column in zip(*legs, strict=True))
    return worst_loss(np.tile(which, len(legs)), strike, call, size, n)
