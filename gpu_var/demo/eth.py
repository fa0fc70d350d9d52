"""The whole ETH option book of a venue on 2024-01-08: inverse European options, with ETH and BTC perpetuals."""

import tomllib
from pathlib import Path

import arrow
import numpy as np
import pyarrow as pa

from cpu_reference.implied import implied_deviation
from gpu_var.demo import folder
from gpu_var.demo.chain import Chain, Greeks, greeks, nodes, surface
from gpu_var.demo.dealers import complete, extend, is_dealer, net_delta
from gpu_var.demo.source import DATA, F8, mark, numbers, read, texts
from gpu_var.demo.strategies import Holdings, hold

NAME = "deribit-eth-2024-01-08"
SEED = 20240108
TICK = 0.0001  # of the option's price, in coin
FACE = {"ETH": 1.0, "BTC": 10.0}  # US dollars a perpetual contract, as on the venue
WINDOW = 30  # days of the realised volatility
TRADERS = [*(f"perpetual-{number}" for number in range(1, 6)), "cash-and-carry"]
HALF_SPREAD = 0.0001  # assumed, see data/README.md


def book(directory: Path) -> Path:
    """Writes the book under `directory` and returns its folder."""
    rng = np.random.default_rng(SEED)
    table = read("deribit_eth_20240108.csv")
    chain = read_chain(table)
    rows = nodes(chain, TICK * chain.spot)
    root = np.sqrt(chain.years[chain.slice[rows]])
    forward = chain.forward[chain.slice[rows]]
    iv = implied_deviation(chain.mark[rows], forward, chain.strike[rows], chain.sign[rows]) / root
    everywhere = surface(chain, rows, iv)
    sensitivity = greeks(chain, everywhere)

    holdings = extend(complete(chain, hold(chain, everywhere, rng), rng), TRADERS)
    bitcoin = mark("btc_usdt")
    others = _perpetuals(chain, sensitivity.delta, holdings, bitcoin, rng)
    exposure = np.abs(holdings.options) @ np.abs(sensitivity.delta) * chain.spot
    exposure += FACE["ETH"] * np.abs(others["ETH-PERPETUAL"]) + FACE["BTC"] * np.abs(others["BTC-PERPETUAL"])
    accounts = folder.accounts(holdings.account, rng)
    tables = {
        "positions": folder.positions(chain, holdings, others),
        "instruments": folder.instruments(
            chain,
            "ETH",
            {"exercise": "european", "settlement": "inverse"},
            [
                *({"instrument": coin, "kind": "spot", "underlying": coin, "multiplier": 1.0} for coin in FACE),
                *(
                    {
                        "instrument": f"{coin}-PERPETUAL",
                        "kind": "perpetual",
                        "underlying": coin,
                        "multiplier": face,
                        "settlement": "inverse",
                    }
                    for coin, face in FACE.items()
                ),
            ],
        ),
        "underlyings": _underlyings(table, chain, sensitivity, bitcoin),
        "forwards": pa.table(
            {"underlying": ["ETH"] * len(chain.expiry), "expiry": chain.expiry, "forward": np.round(chain.forward, 6)}
        ),
        # the coin earns nothing, so the dollar's rate is the basis: discounting by S/F turns Black's price back into
        # the venue's, which is quoted per unit of the forward
        "rates": pa.table(
            {
                "currency": ["USD"] * len(chain.expiry),
                "expiry": chain.expiry,
                "rate": np.round(np.log(chain.forward / chain.spot) / chain.years, 10),
            }
        ),
        "vols": folder.vols(chain, "ETH", rows, iv),
        "history": _history(),
        "accounts": accounts,
        "members": folder.members(accounts, holdings.account, exposure),
        "collateral": folder.collateral(holdings.account, exposure, "ETH", chain.spot),
    }
    return folder.write(directory / NAME, tables)


def read_chain(table: pa.Table) -> Chain:
    """The 684 options of the venue's file, marks turned from coin into dollars before discounting: mark·F."""
    names = texts(table, "instrument_name")
    parts = np.array([name.split("-")[1:] for name in names])
    days, at = np.unique(parts[:, 0], return_inverse=True)
    moments = [arrow.get(day, "DMMMYY").shift(hours=8) for day in days]  # the venue settles at 08:00 UTC
    rank = np.argsort([moment.timestamp() for moment in moments])
    slice_ = np.argsort(rank)[at]
    strike, sign = parts[:, 1].astype(np.float64), np.where(parts[:, 2] == "C", 1.0, -1.0)
    order = np.lexsort((-sign, strike, slice_))
    slice_ = slice_[order]
    # the file has been written over some milliseconds, and the forward of an expiry moved by a cent meanwhile
    quoted = numbers(table, "underlying_price")[order]
    forward = np.array([np.median(quoted[slice_ == one]) for one in range(len(days))])
    as_of = tomllib.loads((DATA / f"{NAME}.toml").read_text(encoding="utf-8"))["as_of"]
    years = np.array([(moments[i].datetime - as_of).total_seconds() for i in rank]) / (365 * 86400)
    return Chain(
        name=tuple(names[i] for i in order),
        slice=slice_,
        strike=strike[order],
        sign=sign[order],
        mark=numbers(table, "mark_price")[order] * forward[slice_],
        fresh=np.ones(len(order), dtype=np.bool_),
        volume=numbers(table, "volume")[order],
        open_interest=numbers(table, "open_interest")[order],
        expiry=tuple(moments[i].format("YYYY-MM-DDTHH:mm:ss[Z]") for i in rank),
        years=years,
        forward=forward,
        multiplier=1.0,
        spot=float(numbers(table, "estimated_delivery_price")[0]),
    )


def _perpetuals(chain: Chain, delta: F8, holdings: Holdings, bitcoin: float, rng: np.random.Generator) -> dict[str, F8]:
    """Quantities (a,) of the two coins and the two perpetuals.

    Dealers hedge the delta of their options with the ETH perpetual. Each perpetual trader takes a random tenth to half
    of the gross hedges' mean size, long or short, in both coins; the carry trader takes what is left of each perpetual,
    so that it nets to zero, and holds as much of the coin itself the other way round.
    """
    spot = {"ETH": chain.spot, "BTC": bitcoin}
    hedge = -net_delta(chain, delta, holdings) * is_dealer(holdings) * chain.spot  # US dollars
    typical = np.abs(hedge).sum() / is_dealer(holdings).sum()
    perpetual = np.array([float(name.startswith("perpetual-")) for name in holdings.account])
    others = {"ETH": holdings.underlying.copy(), "BTC": np.zeros(len(hedge))}
    for coin, level in spot.items():
        bet = rng.choice([-1.0, 1.0], len(hedge)) * rng.uniform(0.1, 0.5, len(hedge)) * typical * perpetual
        quantity = np.round((bet + (hedge if coin == "ETH" else 0.0)) / FACE[coin])
        carry = holdings.account.index("cash-and-carry")
        quantity[carry] = -quantity.sum()
        others[coin][carry] = np.round(-quantity[carry] * FACE[coin] / level)
        others[f"{coin}-PERPETUAL"] = quantity
    return others


def _underlyings(table: pa.Table, chain: Chain, sensitivity: Greeks, bitcoin: float) -> pa.Table:
    """Spots, and what the liquidity of the day was: see data/README.md."""
    volume = read("crypto_daily.csv")
    by_name = dict(zip(texts(table, "instrument_name"), range(table.num_rows), strict=True))
    order = [by_name[name] for name in chain.name]
    half = (numbers(table, "ask_price") - numbers(table, "bid_price"))[order] / 2 * chain.spot  # NaN without a quote
    usual = (np.abs(sensitivity.delta) > 0.1) & (np.abs(sensitivity.delta) < 0.9) & (chain.years * 365 > 2)[chain.slice]
    spread = float(np.nanmedian(half[usual] / sensitivity.vega[usual]))
    return pa.table(
        {
            "underlying": ["BTC", "ETH"],
            "currency": ["USD", "USD"],
            "spot": [bitcoin, chain.spot],
            "adv": [float(np.round(numbers(volume, f"{coin}_volume")[-30:].mean())) for coin in ("btc", "eth")],
            "vega_adv": [None, float(np.round(chain.volume @ sensitivity.vega))],
            "half_spread": [HALF_SPREAD, HALF_SPREAD],
            "vol_half_spread": [None, round(spread, 4)],
        }
    )


def _history() -> pa.Table:
    """Closes of the two coins, and 30-day realised volatility of ETH in the place of an implied one.

    E(ln(high/low)) of a day is σ√(8/π) (Parkinson 1980, equation 3), so σ is the mean of 30 days times √(π/8), a year
    having 365. Ranges, because closes alone would make the proxy jump whenever one large day leaves the window.
    """
    daily = read("crypto_daily.csv")
    logarithm = np.log(numbers(daily, "eth_high") / numbers(daily, "eth_low"))
    total = np.concatenate([[0.0], np.cumsum(logarithm)])
    volatility = (total[WINDOW:] - total[:-WINDOW]) / WINDOW * np.sqrt(np.pi / 8 * 365)
    first = WINDOW - 1
    return folder.history(
        texts(daily, "date")[first:],
        {
            "spot:BTC": numbers(daily, "btc_close")[first:],
            "spot:ETH": numbers(daily, "eth_close")[first:],
            "iv:ETH:30d": volatility,
        },
    )
