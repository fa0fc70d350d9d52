"""A listed option chain, and the volatilities that its marks imply."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cpu_reference.black import black_greeks
from gpu_var.demo.source import F8

Index = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Chain:
    """The options on one underlying: n of them on m expiries, both ascending in time, then strike, call before put."""

    name: tuple[str, ...]  # (n,)
    slice: Index  # (n,): row of the expiries
    strike: F8  # (n,)
    sign: F8  # (n,): +1 call, −1 put
    mark: F8  # (n,): price for one unit of the underlying, quote currency, not discounted
    fresh: Bool  # (n,): the mark is the day's own
    volume: F8  # (n,): contracts of the day
    open_interest: F8  # (n,): contracts
    expiry: tuple[str, ...]  # (m,)
    years: F8  # (m,): Act/365F from the valuation time
    forward: F8  # (m,)
    multiplier: float  # units of the underlying a contract
    spot: float

    @property
    def moneyness(self) -> F8:
        """(n,): ln(K/F)."""
        return np.log(self.strike / self.forward[self.slice])


def nodes(chain: Chain, tick: float) -> Index:
    """Rows whose marks make the volatility surface, ascending: one a strike and expiry, blending none.

    The out-of-the-money option of the pair (at the forward the call), if its mark is the day's own and at least `tick`,
    and if no option of its side nearer to the forward is cheaper: a price that rises with the distance is a stale one.
    """
    k = chain.moneyness
    good = (chain.sign * k >= 0) & ~((k == 0) & (chain.sign < 0)) & chain.fresh & (chain.mark >= tick)
    rows = np.nonzero(good)[0]
    side = chain.slice[rows] * 2 + (chain.sign[rows] > 0)
    order = np.lexsort((np.abs(k[rows]), side))
    rows, side = rows[order], side[order]
    kept = np.ones(len(rows), dtype=np.bool_)
    for one in np.unique(side):  # two sides an expiry
        here = side == one
        kept[here] = chain.mark[rows[here]] <= np.minimum.accumulate(chain.mark[rows[here]])
    return np.sort(rows[kept])


def surface(chain: Chain, rows: Index, iv: F8) -> F8:
    """(n,): volatility of every option from the nodes `rows`: linear in ln(K/F), flat beyond, expiry by expiry."""
    k, result = chain.moneyness, np.empty(len(chain.name))
    for one in range(len(chain.expiry)):
        here, mine = chain.slice == one, chain.slice[rows] == one
        order = np.argsort(k[rows[mine]])
        result[here] = np.interp(k[here], k[rows[mine]][order], iv[mine][order])
    return result


@dataclass(frozen=True)
class Greeks:
    """For one unit of the underlying, at the surface's volatility."""

    delta: F8  # (n,): sign·N(sign·d₁), exact where the discount factor is S/F, as it is without dividends
    vega: F8  # (n,): per 1.00 of volatility, discounted likewise


def greeks(chain: Chain, iv: F8) -> Greeks:
    """Delta and vega of every option, European: enough to size hedges and to measure what a day trades."""
    root = np.sqrt(chain.years[chain.slice])
    parts = black_greeks(chain.forward[chain.slice], chain.strike, iv * root, chain.sign)
    return Greeks(chain.sign * parts.n1, chain.spot * parts.density * root)
