"""Scenarios at another volatility than today's: of a long look-back, of its most stressed year, of an earlier day."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.fhs import factor_returns, historical
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.scenarios.monte_carlo import monte_carlo
from gpu_var.scenarios.scaling import factor_volatility, floors
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs, MonteCarlo
from gpu_var.tables.findings import listed
from gpu_var.tables.times import DAY_US

LONG_RUN = "long_run"
STRESSED = "stressed"
PREVIOUS = "previous_"
"""Auxiliary sets are named after their model and one of these: "fhs.long_run", "fhs.previous_1"."""

YEAR = 250
"""Returns of the stretch of which the most stressed one is looked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def model_of(config: Config, name: str) -> Fhs | MonteCarlo:
    """The table of "fhs" or "monte_carlo". Raises ValueError where it is not enabled."""
    model = config.fhs if name == "fhs" else config.monte_carlo
    if model is None:
        raise ValueError(f"[{name}] is not enabled; expected its table in the configuration")
    return model


def reference_returns(book: Book, config: Config, factors: Factors, lookback: int) -> F8:
    """(n, n_factors) the last returns up to as_of, at most `lookback` of them, NaN where there is none to use.

    A return is not used where one of its levels is null or not positive, or where its dates are further apart than the
    models' `max_gap_days`.
    """
    stop = int(np.searchsorted(book.history.date, config.as_of_us, side="right"))
    rows = slice(max(stop - lookback - 1, 0), stop)
    levels = book.history.level[rows][:, factors.column]
    levels = np.where(~factors.additive & (levels <= 0.0), np.nan, levels)
    returns = factor_returns(levels, factors.additive, config.returns)
    gap = max(model.max_gap_days for model in (config.fhs, config.monte_carlo) if model is not None)
    returns[np.diff(book.history.date[rows]) > gap * DAY_US] = np.nan
    return returns


def long_run(returns: F8, kind: str = "ewma") -> F8:
    """(n_factors,) the equally weighted volatility of the returns that there are; NaN where there are not two.

    Args:
        returns: (n, n_factors), NaN where there is none.
        kind: "ewma": the sample standard deviation (ddof 1). "absolute": √2 times the mean size (as `filter_absolute`).
    """
    return np.asarray(_rolling(returns, max(1, len(returns)), kind)[0])


def most_stressed(returns: F8, kind: str = "ewma", length: int = YEAR) -> F8:
    """(n_factors,) the largest equally weighted volatility over any `length` consecutive returns, or over all of them
    where there are fewer: each factor's own stressed volatility, as ICE Clear Europe's risk model 1 takes it.

    Returns:
        NaN where no stretch has two returns.
    """
    return np.asarray(np.fmax.reduce(_rolling(returns, max(1, min(length, len(returns))), kind), axis=0))


def _rolling(returns: F8, length: int, kind: str) -> F8:
    """(n_stretches, n_factors) volatilities over consecutive returns; NaN ones are left out."""
    known = ~np.isnan(returns)

    def over(column: F8) -> F8:
        total = np.concatenate([np.zeros((1, returns.shape[1])), np.cumsum(column, axis=0)])
        return np.asarray(total[length:] - total[:-length])

    count = over(known.astype(np.float64))
    if kind == "absolute":
        size = np.sqrt(2.0) * over(np.where(known, np.abs(returns), 0.0))
        return np.asarray(np.divide(size, count, out=np.full_like(size, np.nan), where=count > 1.0))
    mean = np.where(known, returns, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    value = np.where(known, returns - mean, 0.0)  # about the mean, so that the squares do not cancel
    squares = np.maximum(over(value**2) - over(value) ** 2 / np.maximum(count, 1.0), 0.0)
    variance = np.divide(squares, count - 1.0, out=np.full_like(squares, np.nan), where=count > 1.0)
    return np.asarray(np.sqrt(variance))


def at_volatility(
    base: ScenarioSet, book: Book, config: Config, factors: Factors, backend: Backend, target: F8, suffix: str
) -> ScenarioSet:
    """A model's scenarios with another volatility in the place of its forecast σ_{N+1}; its floors still hold.

    `full` and Monte Carlo: x·target/σ_{N+1}. `mid`: r_t·(target + σ_t)/(2σ_t). `none`, where the returns keep the
    volatility of the look-back itself: x·target over that, equally weighted.

    Args:
        base: the scenarios of "fhs" or "monte_carlo" as of config.as_of.
        target: (n_factors,) volatilities a row of history; where NaN, or where a factor does not move, nothing changes.
        suffix: of the name of the new set.
    """
    model = model_of(config, base.model)
    _, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, config.returns)
    scaling = model.scaling if isinstance(model, Fhs) else "full"
    if scaling == "none":
        now = long_run(returns)
    else:
        now = factor_volatility(returns, model, factors.names, backend)[-1]
        target = np.maximum(target, floors(model.volatility_floor, factors.names))
    ratio = np.divide(target, now, out=np.ones_like(now), where=(now > 0.0) & ~np.isnan(target))
    if scaling == "mid":
        # Half of such a shock is what the forecast makes of it, the other half is that of its day.
        full = historical(book, _with(config, fhs=model.model_copy(update={"scaling": "full"})), factors, backend)
        shock = base.shock + 0.5 * (ratio - 1.0) * full.shock
    else:
        shock = base.shock * ratio
    floored = count_floored(shock, factors.additive, config.returns)
    return replace(base, model=f"{base.model}.{suffix}", shock=shock, floored=floored, steady=(), notes=())


def reference_sets(
    book: Book, config: Config, factors: Factors, sets: Sequence[ScenarioSet], backend: Backend, pool: Executor
) -> list[ScenarioSet]:
    """The auxiliary scenarios that [antiprocyclicality] asks for, in addition to the models' own `sets`.

    `buffer`, `floor` and `countercyclical`: each model at the volatility of the reference look-back; `countercyclical`:
    also as of each of the `previous_days` rows of history, as far as history reaches back.
    """
    table = config.antiprocyclicality
    if table is None or table.option == "stressed":
        return []
    own = [s for s in sets if s.model in ("fhs", "monte_carlo")]
    returns = reference_returns(book, config, factors, table.lookback)
    out = [
        at_volatility(s, book, config, factors, backend, long_run(returns, kind_of(config, s.model)), LONG_RUN)
        for s in own
    ]
    if table.option == "countercyclical":
        last = int(np.searchsorted(book.history.date, config.as_of_us, side="right")) - 1
        first = first_row(book, config, factors)
        for days in range(1, min(table.previous_days, last - first) + 1):
            earlier = as_of(config, book, last - days)
            out += [
                replace(
                    historical(book, earlier, factors, backend)
                    if s.model == "fhs"
                    else monte_carlo(book, earlier, factors, backend, pool),
                    model=f"{s.model}.{PREVIOUS}{days}",
                    steady=(),
                    notes=(),
                )
                for s in own
            ]
    return out


def kind_of(config: Config, name: str) -> str:
    """How a model estimates volatility: "ewma" or "absolute"."""
    return model_of(config, name).volatility


def as_of(config: Config, book: Book, row: int) -> Config:
    """The configuration as of a row of history: for making scenarios, not for valuing the book."""
    return _with(config, as_of=_EPOCH + timedelta(microseconds=int(book.history.date[row])))


def first_row(book: Book, config: Config, factors: Factors) -> int:
    """The first row of history up to as_of from which on every look-back is whole: of levels that the enabled models'
    returns can use, with no gap; one beyond the last row where there is none.
    """
    stop = int(np.searchsorted(book.history.date, config.as_of_us, side="right"))
    level = book.history.level[:stop, factors.column]
    bad = (np.isnan(level) | (~factors.additive & (level <= 0.0))).any(axis=1)
    sound = int(np.flatnonzero(bad)[-1]) + 1 if bad.any() else 0
    first = 0
    for model in (config.fhs, config.monte_carlo):
        if model is not None:
            wide = np.flatnonzero(np.diff(book.history.date[:stop]) > model.max_gap_days * DAY_US)
            begin = max(sound, int(wide[-1]) + 1 if len(wide) else 0)
            first = max(first, begin + model.lookback)
    return min(first, stop)


def shortfall(book: Book, config: Config, factors: Factors, lookback: int) -> str | None:
    """A note on the factors whose history is shorter than the reference look-back, if there are any."""
    count = np.count_nonzero(~np.isnan(reference_returns(book, config, factors, lookback)), axis=0)
    few = np.flatnonzero(count < lookback)
    if not len(few):
        return None
    least, most = int(count[few].min()), int(count[few].max())
    there = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    names = listed(factors.names[f] for f in few)
    return (
        f"antiprocyclicality: the volatility of the reference look-back, {lookback:,} returns, is estimated from the "
        f"{there} that there are of {names}"
    )


def _with(config: Config, **changes: object) -> Config:
    return config.model_copy(update=changes)
