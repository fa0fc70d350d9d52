"""Which factors of the library move which factors of a book."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpu_var.market.factors import Factors
from gpu_var.scenarios.library.shipped import DOLLARS, SPOTS, VOLATILITIES, Library
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config_stress_test import NONE, Proxy

FLOOR = 0.01
"""Least growth of a lognormal factor: the floor of simple returns, for falls of 99 % and more."""

TREASURIES = {"UST3M": 0.25, "UST5Y": 5.0, "UST10Y": 10.0}
"""Tenors in years of the library's yields."""

_DOLLARS: Mapping[str, Mapping[str, float]] = {
    "USD": {},
    "USDC": {},
    "USDT": {},
    "EUR": {"EURUSD": 1.0},
    "JPY": {"USDJPY": -1.0},
    "GBP": {"GBPUSD": 1.0},
    "CHF": {"EURUSD": 1.0, "EURCHF": -1.0},
    "BTC": {"BTC": 1.0},
    "XBT": {"BTC": 1.0},
    "ETH": {"ETH": 1.0},
}
"""The logarithm of dollars for a unit of a currency, as a sum over the library's factors."""


class Move(NamedTuple):
    """A sum over factors of the library: of ln(1 + relative change), or of differences."""

    weight: Mapping[str, float]
    named: bool = False  # the scenario itself says it of this factor, as the grid does

    @property
    def words(self) -> str:
        """Such as "SPX", "1.3 SPX" and "EURUSD - EURCHF"."""
        terms = "".join(
            f" {'-' if w < 0.0 else '+'} {'' if abs(w) == 1.0 else f'{abs(w):g} '}{name}"
            for name, w in self.weight.items()
        )
        return terms[3:] if terms.startswith(" +") else f"-{terms[3:]}"


@dataclass(frozen=True)
class _Default:
    """An entry of `proxies.toml`."""

    spot: re.Pattern[str]
    volatility: str | None
    instead: str | None


@cache
def _defaults() -> dict[str, _Default]:
    text = (files(__package__) / "data" / "proxies.toml").read_text(encoding="utf-8")
    return {
        factor: _Default(
            re.compile("|".join(translate(pattern) for pattern in entry["spot"]), re.IGNORECASE),
            entry.get("volatility"),
            entry.get("instead"),
        )
        for factor, entry in tomllib.loads(text).items()
    }


def _of_spot(underlying: str) -> Proxy | None:
    """What stands for an underlying, by its name."""
    return next((Proxy(factor=name) for name, entry in _defaults().items() if entry.spot.match(underlying)), None)


def _of_volatility(spot: Proxy | None) -> Proxy | None:
    """What stands for the implied volatilities of an underlying, by what stands for its spot."""
    entry = _defaults().get(spot.factor) if spot else None
    return Proxy(factor=entry.volatility) if entry and entry.volatility else None


def _moves(proxy: Proxy | None, general: str | None = None, normal: bool = False) -> tuple[Move, ...]:
    """What a proxy means: its factor, then those instead of it; `general` names a factor that means all of a kind."""
    out = [Move({general: 1.0}, named=True)] if general else []
    name = proxy.factor if proxy else NONE
    beta = proxy.beta if proxy else 1.0
    while name != NONE:
        if normal and f"{name}_USD" in DOLLARS:
            out.append(Move({f"{name}_USD": beta}))
        out.append(Move({name: beta}))
        entry = _defaults().get(name)
        name = entry.instead if entry and entry.instead else NONE
    return tuple(out)


def _of_rate(years: float) -> tuple[Move, ...]:
    """A rate of the dollar: linear in the tenor between the yields, flat beyond; by the longest where it is alone."""
    tenors = np.array(list(TREASURIES.values()))
    weight = [float(np.interp(years, tenors, unit)) for unit in np.eye(len(tenors))]
    between = {name: w for name, w in zip(TREASURIES, weight, strict=True) if w}
    return Move(between), Move({"UST10Y": 1.0})


def _of_currency(name: str, base: str) -> tuple[Move, ...]:
    """A rate of exchange, as the cross of two rates of the dollar."""
    if name not in _DOLLARS or base not in _DOLLARS:
        return ()
    weight = dict(_DOLLARS[name])
    for factor, w in _DOLLARS[base].items():
        weight[factor] = weight.get(factor, 0.0) - w
    cross = {factor: w for factor, w in weight.items() if w}
    return (Move(cross),) if cross else ()


def movers(book: Book, base: str, factors: Factors, proxies: Mapping[int, Proxy]) -> tuple[tuple[Move, ...], ...]:
    """What moves each factor of a book: (F,) moves of which the first counts that a scenario has whole.

    Args:
        base: the base currency.
        proxies: the user's own, by row of `factors`; they come before those that ship.
    """
    out: list[tuple[Move, ...]] = [()] * len(factors.names)
    names = book.underlyings.name.to_pylist()
    curves = zip(names, factors.spot.tolist(), factors.forward, factors.iv, strict=False)
    for name, row, forward, volatility in curves:
        spot = proxies.get(row) or _of_spot(name)
        if row >= 0:
            out[row] = _moves(spot, SPOTS, bool(factors.additive[row]))
        for f in forward.factor.tolist():
            out[f] = _moves(proxies.get(f) or spot, SPOTS, bool(factors.additive[f]))
        for f in volatility.factor.tolist():
            out[f] = _moves(proxies.get(f) or _of_volatility(spot), VOLATILITIES)
    for name, row, rate in zip(book.currencies.name, factors.fx.tolist(), factors.rate, strict=False):
        if row >= 0:
            own = proxies.get(row)
            out[row] = _moves(own) if own else _of_currency(name, base)
        for f, years in zip(rate.factor.tolist(), rate.years.tolist(), strict=True):
            own = proxies.get(f)
            out[f] = _moves(own) if own else _of_rate(years) if name == "USD" else ()
    return tuple(out)


def library_moves(
    shipped: Library, of: Sequence[Sequence[Move]], additive: Bool, level: F8
) -> tuple[F8, Bool, npt.NDArray[np.int8], int]:
    """The library's scenarios on the factors of a book.

    A factor that takes relative changes moves by their logarithm: Σ w·ln(1 + m), so that a proxy's beta is one of
    logarithmic returns. An additive one takes differences as they are, and of a relative change what it makes of the
    book's level, |level|·(exp(Σ w·ln(1 + m)) − 1).

    Args:
        shipped: n scenarios.
        of: (F,) what moves each factor, as `movers` tells.
        additive: (F,) factors that take differences.
        level: (F,) the book's levels of additive factors.

    Returns:
        (n, F) logarithms of growth, and differences of additive factors, NaN where a scenario says nothing; whether the
        scenario itself names the factor; which of the moves was taken, −1 for none; how many relative changes of −99 %
        and less were taken for −99 %.
    """
    n, size = len(shipped.name), len(of)
    low = ~shipped.difference & (shipped.move < FLOOR - 1.0)
    unit = np.where(shipped.difference, shipped.move, np.log(np.maximum(1.0 + shipped.move, FLOOR)))
    out = np.full((n, size), np.nan)
    named = np.zeros((n, size), np.bool_)
    taken = np.full((n, size), -1, np.int8)
    floored = 0
    for f, moves in enumerate(of):
        for i, move in enumerate(moves):
            columns = [shipped.column(name) for name in move.weight]
            total = unit[:, columns] @ np.array(list(move.weight.values()))
            new = np.isnan(out[:, f]) & ~np.isnan(total)
            if additive[f] and not shipped.difference[columns].all():
                total = abs(level[f]) * np.expm1(total)
            out[new, f] = total[new]
            named[new, f] = move.named
            taken[new, f] = i
            floored += int(np.count_nonzero(low[np.ix_(new, columns)]))
    return out, named, taken, floored
