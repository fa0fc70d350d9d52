"""An underlying's market as a scenario leaves it, so that Greeks can be taken there."""

import numpy as np

from cpu_reference.types import Instruments, Levels, Market, Smile
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, shocks
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config


def moved(book: Book, config: Config, factors: Factors, part: Underlying, shock: F8) -> Underlying:
    """The underlying in one scenario: prices there are those that the engine's profit and loss is made of.

    σ is multiplied as the scenario says, an instrument's own as well; the smile keeps its moneyness, or its strikes
    (`sticky_strike`). With `roll` it is the market at the end of the holding period.

    Args:
        shock: (F,) as the engine takes it.
    """
    state = shocks(book, config, factors, part, shock[None])
    market = part.market
    n = len(market.today.years)
    after = Levels(*(np.concatenate(one) for one in zip(*(state.at(m) for m in range(n)), strict=True)))
    maturities = market.horizon._replace(forward=after.forward, rate=after.rate)
    smile = _smile(market, after)
    left: Market = market._replace(
        spot=after.spot,
        fx=after.fx,
        today=maturities,
        horizon=maturities,
        smile_today=smile,
        smile_horizon=smile,
    )
    return part._replace(market=left, instruments=_own(part.instruments, after), listed=_own(part.listed, after))


def _smile(market: Market, after: Levels) -> Smile:
    smile: Smile = market.smile_horizon
    knot = smile.knot
    count = np.diff(smile.start)
    if market.sticky_strike:
        before, live = market.horizon.forward, market.horizon.years > 0.0
        forward = after.forward
        lognormal = np.log(np.where(live, forward / before, 1.0)) if not market.normal else forward - before
        knot = knot - np.repeat(np.where(live, lognormal, 0.0), count)
    square = np.repeat(after.vol_growth**2, count + 1)
    return smile._replace(knot=knot, segment=smile.segment * square[:, None])


def _own(instruments: Instruments, after: Levels) -> Instruments:
    """Instruments whose own volatility has moved."""
    out: Instruments = instruments._replace(vol=instruments.vol * after.vol_growth[instruments.maturity])
    return out
