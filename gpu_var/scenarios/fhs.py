"""Filtered historical simulation: yesterday's moves at today's volatility, and correlation."""

import numpy as np

import cpu_reference
from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.scenarios.scaling import effective_returns, factor_volatility, recorrelate
from gpu_var.tables.book import F8, I8, Book, Bool
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs

NOISY = 1.25
"""How much larger the scaling of correlations may make the moves before a note says so."""


def factor_returns(levels: F8, additive: Bool, returns: str) -> F8:
    """(N, n_factors) returns of (N + 1, n_factors) levels: log or simple, differences for additive factors."""
    out = np.diff(levels, axis=0)
    relative = levels[1:, ~additive] / levels[:-1, ~additive]
    out[:, ~additive] = np.log(relative) if returns == "log" else relative - 1.0
    return out


def rescale(returns: F8, volatility: F8, scaling: str) -> F8:
    """Returns at the forecast's volatility (Hull & White 1998): r·σ_{N+1}/σ_t, half way to it, or as they were.

    Args:
        returns: (N, n_factors).
        volatility: (N + 1, n_factors), the last row the forecast; 0 for a constant factor, whose returns are 0.
        scaling: "full" | "mid" | "none".
    """
    if scaling == "none":
        return returns.copy()
    then, now = volatility[:-1], volatility[-1]
    ratio = np.divide(now, then, out=np.ones_like(then), where=then > 0.0)
    weight: F8 = ratio if scaling == "full" else 0.5 * (ratio + 1.0)
    return returns * weight


def scenario_dates(date: I8) -> list[str]:
    """The names of historical scenarios: their date, with the time of day where there is one."""
    stamp = date.astype("datetime64[us]")
    whole_days = (stamp == stamp.astype("datetime64[D]")).all()
    names = np.datetime_as_string(stamp, unit="D") if whole_days else np.datetime_as_string(stamp, "s", timezone="UTC")
    return [str(name) for name in names]


def steady_factors(returns: F8, factors: Factors) -> tuple[str, ...]:
    """The factors that move by the same return every day, such as a crawling peg."""
    still = cpu_reference.steady(returns) & (returns != 0.0).any(axis=0)
    return tuple(factors.names[f] for f in np.flatnonzero(still))


def overlapping(moves: F8, days: int) -> F8:
    """(N − days + 1, n_factors) sums of `days` consecutive moves of (N, n_factors): each ends a day after the last."""
    total = moves[days - 1 :].copy()
    for lag in range(1, days):
        total += moves[days - 1 - lag : len(moves) - lag]
    return total


def filtered_moves(returns: F8, volatility: F8, model: Fhs) -> tuple[F8, tuple[str, ...]]:
    """A day's moves at the forecast's volatility and, with `correlation_scaling`, at its correlation; and notes.

    Args:
        returns: (N, n_factors), oldest first.
        volatility: (N + 1, n_factors), the last row the forecast.
        model: its `scaling`, `decay` and the keys of the correlation are read.

    Returns:
        (N, n_factors). Factors whose returns do not vary have no correlation to scale.
    """
    moves = rescale(returns, volatility, model.scaling)
    varies = np.flatnonzero(~cpu_reference.steady(returns))
    if not model.correlation_scaling or len(varies) < 2:
        return moves, ()
    own, then, now = np.ascontiguousarray(returns[:, varies]), volatility[:-1, varies], volatility[-1, varies]
    moved, shrinkage = recorrelate(own, volatility[:, varies], model.decay, model.correlation_shrinkage)
    scaled = moved * (now if model.scaling == "full" else 0.5 * (now + then))
    unit = np.where(now > 0.0, now, 1.0)
    larger = float(np.sqrt(((scaled / unit) ** 2).sum() / ((moves[:, varies] / unit) ** 2).sum()))
    moves[:, varies] = scaled
    seen = f"the correlations of {len(varies):,} factors, of about {effective_returns(model.decay):,.0f} returns each"
    notes = []
    if shrinkage != model.correlation_shrinkage:
        notes.append(f"fhs: {seen}, are singular on some date; all are shrunk by {shrinkage:.3g} towards none")
    if larger > NOISY:
        size = f"moves are {larger:.2f} times as large as without correlation_scaling (root mean square)"
        notes.append(f"fhs: {size}, for {seen}, are uncertain; correlation_shrinkage dampens that")
    return moves, tuple(notes)


def historical(book: Book, config: Config, factors: Factors, backend: Backend) -> ScenarioSet:
    """The scenarios of `[fhs]`: the last `lookback` returns up to `as_of`, filtered, over the holding period of h days.

    With `horizon = "scale"` a scenario is √h times a day's move. With "overlapping" it is the sum of h consecutive
    days' moves, named by the last one's date; every h-th scenario belongs to one of h sub-samples, over which
    `measures` averages.
    """
    model = config.fhs
    if model is None:
        raise ValueError("[fhs] is not enabled; expected its table in the configuration")
    h = config.holding_period_days
    dates, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, config.returns)
    moves, notes = filtered_moves(returns, factor_volatility(returns, model, factors.names, backend), model)
    overlap = model.horizon == "overlapping"
    shock = overlapping(moves, h) if overlap else np.sqrt(h) * moves
    return ScenarioSet(
        "fhs",
        scenario_dates(dates)[len(dates) - len(shock) :],
        shock,
        count_floored(shock, factors.additive, config.returns),
        steady_factors(returns, factors),
        h if overlap else 1,
        notes,
    )
