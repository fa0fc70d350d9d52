"""Filtered historical simulation: yesterday's moves at today's volatility."""

import numpy as np

import cpu_reference
from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.tables.book import F8, I8, Book, Bool
from gpu_var.tables.config import Config


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


def historical(book: Book, config: Config, factors: Factors, backend: Backend) -> ScenarioSet:
    """The scenarios of `[fhs]`: the last `lookback` returns up to `as_of`, rescaled, over the holding period."""
    model = config.fhs
    if model is None:
        raise ValueError("[fhs] is not enabled; expected its table in the configuration")
    dates, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, config.returns)
    volatility = backend.to_host(backend.filter_ewma(backend.to_device(returns), model.decay))
    shock = np.sqrt(config.holding_period_days) * rescale(returns, volatility, model.scaling)
    floored = count_floored(shock, factors.additive, config.returns)
    return ScenarioSet("fhs", scenario_dates(dates), shock, floored, steady_factors(returns, factors))
