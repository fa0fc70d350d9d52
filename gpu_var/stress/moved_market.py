"""An underlying's market as a scenario leaves it, so that Greeks can be taken there."""

import numpy as np

from cpu_reference.types import Instruments, Market, Shocks, Smile
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
    forward = state.forward[:, 0]
    maturities = market.horizon._replace(forward=forward, rate=state.rate[:, 0])
    smile = _smile(market, state, forward)
    after: Market = market._replace(
        spot=float(state.spot[0]),
        fx=float(state.fx[0]),
        today=maturities,
        horizon=maturities,
        smile_today=smile,
        smile_horizon=smile,
    )
    return part._replace(market=after, instruments=_own(part.instruments, state), listed=_own(part.listed, state))


def _smile(market: Market, state: Shocks, forward: F8) -> Smile:
    smile: Smile = market.smile_horizon
    knot = smile.knot
    count = np.diff(smile.start)
    if market.sticky_strike:
        before, live = market.horizon.forward, market.horizon.years > 0.0
        lognormal = np.log(np.where(live, forward / before, 1.0)) if not market.normal else forward - before
        knot = knot - np.repeat(np.where(live, lognormal, 0.0), count)
    square = np.repeat(state.vol_growth[:, 0] ** 2, count + 1)
    return smile._replace(knot=knot, segment=smile.segment * square[:, None])


def _own(instruments: Instruments, state: Shocks) -> Instruments:
    """Instruments whose own volatility has moved."""
    if not len(state.vol_growth):
        return instruments
    dated = instruments.maturity >= 0
    growth = np.where(dated, state.vol_growth[np.maximum(instruments.maturity, 0), 0], 1.0)
    out: Instruments = instruments._replace(vol=instruments.vol * growth)
    return out
