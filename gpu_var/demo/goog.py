"""The listed GOOG options for 2015-12-31, American, with the stock and SPY."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import arrow
import numpy as np
import pyarrow as pa

from cpu_reference.american import american
from cpu_reference.black import black
from cpu_reference.implied import implied_deviation
from gpu_var.demo import folder
from gpu_var.demo.chain import Chain, Greeks, Index, greeks, nodes, surface
from gpu_var.demo.dealers import complete, extend, is_dealer, net_delta
from gpu_var.demo.source import DATA, F8, mark, numbers, read, texts
from gpu_var.demo.strategies import Holdings, hold

NAME = "goog-2015-12-31"
SEED = 20151231
CHEAPEST = 0.10  # two ticks: below, a price says little about volatility

# assumed, for the data have neither stock volumes nor stock quotes; see data/README.md
ADV = {"GOOG": 2e6, "SPY": 1e8}
HALF_SPREAD = {"GOOG": 0.0001, "SPY": 0.000025}


def book(directory: Path) -> Path:
    """Writes the book under `directory` and returns its folder."""
    rng = np.random.default_rng(SEED)
    days, rates = _curve()
    chain = read_chain(days, rates)
    rows = nodes(chain, CHEAPEST)
    iv = implied(chain, rows)
    everywhere = surface(chain, rows, iv)
    sensitivity = greeks(chain, everywhere)

    traders = ["long-only", "pair-1", "pair-2"]
    holdings = extend(complete(chain, hold(chain, everywhere, rng), rng), traders)
    index = float(numbers(read("us_daily.csv"), "spy_close")[-1])
    others = _stocks(chain, sensitivity.delta, holdings, index, rng)
    exposure = np.abs(holdings.options) @ np.abs(sensitivity.delta) * chain.multiplier * chain.spot
    exposure += np.abs(np.minimum(others["GOOG"], 0)) * chain.spot + np.abs(np.minimum(others["SPY"], 0)) * index
    accounts = folder.accounts(holdings.account, rng)
    tables = {
        "positions": folder.positions(chain, holdings, others),
        "instruments": folder.instruments(
            chain,
            "GOOG",
            {"exercise": "american"},
            [{"instrument": name, "kind": "spot", "underlying": name, "multiplier": 1.0} for name in ADV],
        ),
        "underlyings": pa.table(
            {
                "underlying": list(ADV),
                "currency": ["USD"] * len(ADV),
                "spot": [chain.spot, index],
                "adv": list(ADV.values()),
                "vega_adv": [float(np.round(chain.volume @ sensitivity.vega * chain.multiplier)), None],
                "half_spread": list(HALF_SPREAD.values()),
                "vol_half_spread": [_disagreement(chain, sensitivity), None],
            }
        ),
        "rates": pa.table({"currency": ["USD"] * len(days), "expiry": days, "rate": np.round(rates, 8)}),
        "vols": folder.vols(chain, "GOOG", rows, iv),
        "history": _history(),
        "accounts": accounts,
        "members": folder.members(accounts, holdings.account, exposure),
        "collateral": folder.collateral(holdings.account, exposure, "GOOG", chain.spot),
    }
    return folder.write(directory / NAME, tables)


def _as_of() -> arrow.Arrow:
    return arrow.get(tomllib.loads((DATA / f"{NAME}.toml").read_text(encoding="utf-8"))["as_of"])


def _years(moments: Sequence[arrow.Arrow]) -> F8:
    """Act/365F from the valuation time."""
    as_of = _as_of()
    return np.array([(moment - as_of).total_seconds() for moment in moments]) / (365 * 86400)


def _curve() -> tuple[list[str], F8]:
    """Nodes of the zero rate: half a point under the Federal Reserve's primary credit rate, that is the top of its
    target range, for a day, and the ten-year Treasury yield, compounded twice a year, made continuous."""
    as_of = _as_of()
    moments = [as_of.shift(days=1), as_of.shift(years=10)]
    rates = np.array([mark("primary_credit_rate") - 0.005, 2 * np.log1p(mark("treasury_10y") / 2)])
    return [_text(moment) for moment in moments], rates


def _text(moment: arrow.Arrow) -> str:
    return moment.to("utc").format("YYYY-MM-DDTHH:mm:ss[Z]")


def read_chain(days: Sequence[str], rates: F8) -> Chain:
    """The 2,016 options of the file. Its first row is the stock."""
    table = read("goog_20151231.csv")
    spot = float(numbers(table, "close")[0])
    table = table.slice(1)
    listed, at = np.unique(np.array(texts(table, "expiry")), return_inverse=True)
    moments = [arrow.get(day, "YYYYMMDD", tzinfo="America/New_York").replace(hour=16) for day in listed]
    years = _years(moments)
    rate = np.interp(years, _years([arrow.get(day) for day in days]), rates)
    strike, call = numbers(table, "strike"), np.array(texts(table, "right")) == "C"
    order = np.lexsort((~call, strike, at))
    at, strike, call = at[order], strike[order], call[order]
    open_interest, volume = numbers(table, "open_interest")[order], numbers(table, "volume")[order]
    return Chain(
        name=tuple(
            f"GOOG{listed[e][2:]}{'C' if c else 'P'}{round(k * 1000):08d}"
            for e, c, k in zip(at, call, strike, strict=True)
        ),
        slice=at,
        strike=strike,
        sign=np.where(call, 1.0, -1.0),
        mark=numbers(table, "close")[order] * np.exp(rate * years)[at],
        # what traded on the day, or never did: then its bar is made of the day's quotes
        fresh=(volume > 0) | np.isnan(open_interest),
        volume=volume,
        open_interest=np.nan_to_num(open_interest),
        expiry=tuple(_text(moment) for moment in moments),
        years=years,
        forward=spot * np.exp(rate * years),
        multiplier=100.0,
        spot=spot,
    )


def implied(chain: Chain, rows: Index) -> F8:
    """Volatility at which the American price of each of `rows` is its mark.

    The European volatility of what the mark leaves after the early-exercise premium, which is taken at the volatility
    found so far: the premium out of the money depends so little on it that five rounds reach 1e-8.
    """
    expiry = chain.slice[rows]
    years, forward, strike, sign = chain.years[expiry], chain.forward[expiry], chain.strike[rows], chain.sign[rows]
    root, discount = np.sqrt(years), chain.spot / forward
    deviation = implied_deviation(chain.mark[rows], forward, strike, sign)
    for _ in range(5):
        whole = american(chain.spot, strike, years, -np.log(discount) / years, 0.0, deviation / root, sign)
        premium = whole / discount - black(forward, strike, deviation, sign)
        deviation = implied_deviation(chain.mark[rows] - premium, forward, strike, sign)
    return np.asarray(deviation / root)


def _disagreement(chain: Chain, sensitivity: Greeks) -> float:
    """Half the difference between call and put at one strike, in volatility, the median over the pairs that both
    traded on the day: the data have no bid and ask, and this is how far apart trades at one volatility are."""
    call = np.nonzero((chain.sign[:-1] > 0) & (np.diff(chain.slice) == 0) & (np.diff(chain.strike) == 0))[0]
    put = call + 1
    parity = chain.forward[chain.slice[call]] - chain.strike[call]
    gap = np.abs(chain.mark[call] - chain.mark[put] - parity) / sensitivity.vega[call]
    delta = sensitivity.delta[call]
    both = (chain.volume[call] > 0) & (chain.volume[put] > 0) & (delta > 0.1) & (delta < 0.9)
    return round(float(np.median(gap[both])) / 2, 4)


def _stocks(chain: Chain, delta: F8, holdings: Holdings, index: float, rng: np.random.Generator) -> dict[str, F8]:
    """Shares (a,): what the strategies hold, the hedges of the dealers, a long-only fund, and two pair traders who hold
    GOOG against as many dollars of SPY. Shares, unlike contracts, do not net to zero."""
    goog = holdings.underlying - np.round(net_delta(chain, delta, holdings) * is_dealer(holdings))
    spy = np.zeros(len(goog))
    for name, direction, against in (("long-only", 1.0, 1.0), ("pair-1", 1.0, -1.0), ("pair-2", -1.0, 1.0)):
        row = holdings.account.index(name)
        goog[row] = direction * float(rng.integers(5_000, 50_000))
        spy[row] = against * np.round(abs(goog[row]) * chain.spot / index)
    return {"GOOG": goog, "SPY": spy}


def _history() -> pa.Table:
    """Adjusted closes, and VIX in the place of a 30-day implied volatility of GOOG."""
    daily = read("us_daily.csv")
    return folder.history(
        texts(daily, "date"),
        {
            "spot:GOOG": numbers(daily, "goog_adjusted"),
            "spot:SPY": numbers(daily, "spy_adjusted"),
            "iv:GOOG:30d": numbers(daily, "vix") / 100,
        },
    )
