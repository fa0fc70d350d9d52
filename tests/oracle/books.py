"""Small books that between them hold every kind of instrument, market and factor of the contract."""

import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

Book = dict[str, Any]
DATA = Path(__file__).parent.parent / "data"
AS_OF = "2026-01-05T08:30:00Z"


def walk(seed: int, start: float, vol: float, days: int, additive: bool = False) -> list[float]:
    """A made-up level history, the same at every call."""
    draw = random.Random(seed)
    levels = [start]
    for _ in range(days - 1):
        x = draw.gauss(0, vol) + vol * (draw.random() < 0.1) * draw.gauss(0, 3)
        levels.append(levels[-1] + x if additive else levels[-1] * math.exp(x))
    return levels


def days_before(last: date, count: int) -> list[date]:
    return [last - timedelta(days=count - 1 - i) for i in range(count)]


def option(name: str, underlying: str, expiry: str, strike: float, right: str, **more: Any) -> dict[str, Any]:
    terms = {"instrument": name, "kind": "option", "underlying": underlying, "expiry": expiry}
    return {**terms, "strike": strike, "right": right, **more}


def linear(name: str, kind: str, underlying: str, **more: Any) -> dict[str, Any]:
    return {"instrument": name, "kind": kind, "underlying": underlying, **more}


def slices(underlying: str, forward: float, table: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    """vols rows, strikes given relative to `forward`."""
    return [
        {"underlying": underlying, "expiry": expiry, "strike": forward * share, "iv": iv}
        for expiry, nodes in table.items()
        for share, iv in nodes
    ]


def config(**changes: Any) -> dict[str, Any]:
    out = {"as_of": AS_OF, "base_currency": "USD", "holding_period_days": 1, "level": 0.95, "fhs": {"lookback": 30}}
    out |= changes
    return {key: value for key, value in out.items() if value is not None}


def hold(account: str, **quantities: float) -> list[dict[str, Any]]:
    return [{"account": account, "instrument": name, "quantity": q} for name, q in quantities.items()]


def crypto() -> Book:
    """Inverse and linear contracts on one coin: forwards rows, a surface, own volatilities, expired ones."""
    days = 45
    near, far, gone = "2026-01-08T08:00:00Z", "2026-06-26T08:00:00Z", "2025-12-26T08:00:00Z"
    smile = [(0.7, 0.75), (0.9, 0.6), (1.0, 0.55), (1.2, 0.58), (1.6, 0.7)]
    return {
        "underlyings": [
            {"underlying": "BTC", "currency": "USD", "spot": 61_234.5, "adv": 40.0, "vega_adv": 9000.0,
             "half_spread": 0.0002, "vol_half_spread": 0.006},
        ],
        "forwards": [
            {"underlying": "BTC", "expiry": expiry, "forward": forward}
            for expiry, forward in ((gone, 1.0), (near, 61_260.0), ("2026-03-27T08:00:00Z", 62_100.0), (far, 63_700.0))
        ],
        "vols": slices("BTC", 61_500.0, {gone: [(1.0, 3.0)], near: smile, far: [(s, iv * 0.9) for s, iv in smile]}),
        "rates": [{"currency": "USD", "expiry": "2026-06-01", "rate": 0.04}],
        "instruments": [
            linear("spot", "spot", "BTC"),
            linear("perp", "perpetual", "BTC", multiplier=0.01),
            linear("perp-inv", "perpetual", "BTC", multiplier=10.0, settlement="inverse"),
            linear("fut", "future", "BTC", expiry="2026-04-24T08:00:00Z", multiplier=0.1),
            linear("fut-inv", "future", "BTC", expiry=far, multiplier=100.0, settlement="inverse"),
            linear("fut-near", "future", "BTC", expiry="2026-01-06T08:00:00Z"),
            linear("fut-gone", "future", "BTC", expiry=gone),
            option("call-near", "BTC", near, 62_000.0, "call", settlement="inverse"),
            option("put-mid", "BTC", "2026-02-27T08:00:00Z", 50_000.0, "put", settlement="inverse"),
            option("call-far", "BTC", "2026-12-25T08:00:00Z", 90_000.0, "call", multiplier=0.1),
            option("call-first", "BTC", "2026-01-06T08:00:00Z", 61_000.0, "call"),
            option("put-own", "BTC", far, 55_000.0, "put", iv=0.81),
            option("call-gone", "BTC", gone, 60_000.0, "call"),
            option("put-gone", "BTC", gone, 61_000.0, "put", settlement="inverse", iv=0.5),
        ],
        "positions": [
            *hold("maker", **{"perp-inv": -900.0, "fut-inv": 55.0, "call-near": -7.0, "put-mid": 12.5}),
            *hold("maker", **{"call-far": -40.0, "put-own": 3.0, "perp-inv": 400.0, "call-first": 2.0}),
            *hold("buyer", **{"call-near": 1.0, "put-gone": 2.0, "call-gone": 2.0, "fut-gone": 1.5}),
            *hold("carry", spot=1.0, fut=-10.0, perp=3.0),
            *hold("roller", **{"fut-near": 2.0, "call-first": -3.0, "fut-inv": -5.0}),
            *hold("closed", spot=2.0),
            *hold("closed", spot=-2.0),
        ],
        "accounts": [{"account": name, "member": "M1", "kind": kind} for name, kind in
                     (("maker", "house"), ("buyer", "client"), ("carry", None), ("roller", None), ("closed", None),
                      ("idle", "client"))],
        "history": {
            "date": days_before(date(2026, 1, 5), days),
            "spot:BTC": walk(1, 58_000.0, 0.03, days),
            "iv:BTC:7d": walk(2, 0.6, 0.05, days),
            "iv:BTC:90d": walk(3, 0.5, 0.02, days),
            "vix": walk(4, 20.0, 0.02, days),
        },
    }  # fmt: skip


def world() -> Book:
    """Several currencies (one pegged), rates and their factors, dividends, forward factors, odd identifiers."""
    days = 40
    march, december, gone = "2026-03-20T16:00:00+01:00", "2026-12-18", "2026-01-02"
    smile = [(0.8, 0.35), (1.0, 0.25), (1.25, 0.22)]
    return {
        "underlyings": [
            {"underlying": "ACME", "currency": "EUR", "spot": 52.25, "dividend_yield": 0.021, "adv": 900.0,
             "half_spread": 0.001, "vol_half_spread": 0.01, "vega_adv": 60.0},
            {"underlying": "HSI:X", "currency": "HKD", "spot": 25_300.0, "half_spread": 0.0005},
            {"underlying": "FUT", "currency": "USD", "spot": 410.0, "carry": "none", "adv": 5e4},
            {"underlying": "CRASH", "currency": "USD", "spot": 3.5, "adv": 10.0, "half_spread": 0.02},
        ],
        "forwards": [
            {"underlying": "HSI:X", "expiry": expiry, "forward": forward}
            for expiry, forward in ((gone, 9.0), (march, 25_100.0), (december, 24_800.0))
        ],
        "vols": [
            *slices("ACME", 52.0, {march: smile, december: [(0.9, 0.3), (1.1, 0.24)]}),
            *slices("HSI:X", 25_000.0, {december: smile}),
            *slices("FUT", 410.0, {march: smile}),
        ],
        "rates": [
            {"currency": "EUR", "expiry": gone, "rate": 0.5},
            {"currency": "EUR", "expiry": march, "rate": -0.004},
            {"currency": "EUR", "expiry": "2028-01-05", "rate": 0.021},
            {"currency": "USD", "expiry": march, "rate": 0.045},
        ],
        "fx": [{"currency": "EUR", "rate": 1.0825}, {"currency": "HKD", "rate": 0.128}],
        "instruments": [
            linear("ACME", "spot", "ACME"),
            linear("ACME-F", "future", "ACME", expiry="2026-06-19", multiplier=100.0),
            option("=ACME,C", "ACME", march, 55.0, "call", multiplier=100.0),
            option('ACME"P', "ACME", "2027-06-18", 45.0, "put", multiplier=100.0),
            option("ACME-30d", "ACME", "2026-02-03T20:30:00Z", 30.0, "call", multiplier=10.0),
            linear("HSI-F", "future", "HSI:X", expiry="2026-06-29", multiplier=10.0),
            option("HSI-C", "HSI:X", "2026-06-29", 26_000.0, "call", multiplier=10.0),
            option("HSI-P", "HSI:X", "2027-06-29", 20_000.0, "put", multiplier=10.0, iv=0.33),
            linear("FUT-F", "future", "FUT", expiry=december),
            option("FUT-C", "FUT", december, 440.0, "call"),
            option("FUT-P", "FUT", "2026-01-06", 405.0, "put"),
            linear("CRASH", "spot", "CRASH", multiplier=2.0),
            option("CRASH-C", "CRASH", march, 4.0, "call", iv=1.9),
        ],
        "positions": [
            *hold("Zürich", **{"ACME": 300.0, "=ACME,C": -3.0, "FUT-F": 2.0}),
            *hold("a", **{"ACME-F": -4.0, 'ACME"P': -6.0, "ACME-30d": 2.0, "HSI-F": 1.0, "HSI-C": -2.0}),
            *hold("a", **{"HSI-P": 5.0, "FUT-C": 4.0, "CRASH": 60.0, "ACME-F": 1.5}),
            *hold("é", CRASH=-20.0, **{"CRASH-C": 25.0, "FUT-P": -7.0}),
            *hold("\U0001f600", **{"HSI-F": -1.0}),
            *hold("ｚ", ACME=0.0),
        ],
        "history": {
            "date": days_before(date(2026, 1, 2), days),
            "spot:ACME": walk(11, 50.0, 0.015, days),
            "spot:HSI:X": walk(12, 24_000.0, 0.013, days),
            "spot:FUT": walk(13, 400.0, 0.02, days),
            "spot:CRASH": [*walk(14, 90.0, 0.05, 30), 0.6, *walk(15, 0.7, 0.2, 9)],
            "iv:ACME:1m": walk(16, 0.2, 0.04, days),
            "iv:ACME:1.5y": walk(17, 0.2, 0.02, days),
            "iv:HSI:X:30d": walk(18, 0.2, 0.03, days),
            "iv:FUT:4w": walk(19, 0.2, 0.05, days),
            "forward:HSI:X:3m": walk(20, 25_000.0, 0.012, days),
            "forward:HSI:X:9m": walk(21, 25_000.0, 0.011, days),
            "rate:EUR:3m": walk(22, 0.01, 0.0008, days, additive=True),
            "rate:EUR:2y": walk(23, 0.02, 0.0006, days, additive=True),
            "rate:USD:6m": [0.04] * days,
            "rate:JPY:6m": walk(24, 0.01, 0.001, days, additive=True),
            "fx:EUR": walk(25, 1.1, 0.006, days),
            "fx:HKD": [0.128] * days,
        },
    }  # fmt: skip


def oil() -> Book:
    """Normal dynamics through the negative price of 2020-04-20: EIA's WTI spot, tests/data/wti_2020.csv."""
    with (DATA / "wti_2020.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wti = [float(row["price"]) for row in rows]
    june, late, gone = "2020-06-16", "2020-12-15", "2020-04-21"
    return {
        "underlyings": [
            {"underlying": "CL", "currency": "USD", "spot": -2.5, "dynamics": "normal", "carry": "none",
             "adv": 4000.0, "vega_adv": 2000.0, "half_spread": 0.02, "vol_half_spread": 0.4},
            {"underlying": "SPREAD", "currency": "EUR", "spot": 3.0, "dynamics": "normal", "half_spread": 0.05},
        ],
        "forwards": [
            {"underlying": "SPREAD", "expiry": expiry, "forward": forward}
            for expiry, forward in ((gone, 70.0), (june, 1.0), (late, -4.0))
        ],
        "vols": [
            {"underlying": owner, "expiry": expiry, "strike": strike, "iv": iv}
            for owner, expiry, nodes in (
                ("CL", june, ((-20.0, 70.0), (0.0, 60.0), (25.0, 45.0))),
                ("CL", late, ((-10.0, 35.0), (40.0, 30.0))),
                ("SPREAD", june, ((-5.0, 12.0), (1.0, 10.0), (6.0, 11.0))),
            )
            for strike, iv in nodes
        ],
        "rates": [
            {"currency": "USD", "expiry": late, "rate": 0.001},
            {"currency": "EUR", "expiry": june, "rate": -0.005},
        ],
        "fx": [{"currency": "EUR", "rate": 1.09}],
        "instruments": [
            linear("CL-F", "future", "CL", expiry=june, multiplier=1000.0),
            linear("CL-S", "spot", "CL"),
            option("CL-C", "CL", "2020-08-15", 10.0, "call", multiplier=1000.0),
            option("CL-P", "CL", june, -5.0, "put", multiplier=1000.0),
            option("CL-OWN", "CL", late, -1.0, "call", multiplier=1000.0, iv=41.0),
            option("CL-GONE", "CL", gone, 0.0, "put", multiplier=1000.0),
            linear("SP-F", "future", "SPREAD", expiry="2020-09-15", multiplier=50.0),
            option("SP-P", "SPREAD", "2020-09-15", 0.0, "put", multiplier=50.0),
            option("SP-C", "SPREAD", "2020-05-20", 2.0, "call", multiplier=50.0),
        ],
        "positions": [
            *hold("uso", **{"CL-F": 12.0, "CL-P": -3.0, "CL-GONE": 1.0}),
            *hold("hedger", **{"CL-F": -2.0, "CL-C": 2.0, "CL-OWN": -1.0, "SP-F": 20.0, "SP-P": 30.0, "SP-C": -9.0}),
            *hold("tanker", **{"CL-S": 5000.0}),
        ],
        "history": {
            "date": [date.fromisoformat(row["date"]) for row in rows],
            "spot:CL": wti,
            "iv:CL:60d": walk(31, 40.0, 0.05, len(rows)),
            "spot:SPREAD": walk(32, 0.0, 0.8, len(rows), additive=True),
            "forward:SPREAD:30d": walk(33, 1.0, 0.6, len(rows), additive=True),
            "forward:SPREAD:1y": walk(34, -2.0, 0.3, len(rows), additive=True),
            "iv:SPREAD:30d": walk(35, 10.0, 0.04, len(rows)),
            "rate:EUR:1y": walk(36, -0.005, 0.0003, len(rows), additive=True),
            "fx:EUR": walk(37, 1.1, 0.005, len(rows)),
        },
    }  # fmt: skip


def equity() -> Book:
    """American options: on a dividend yield and a rate curve, on forwards rows, on a future (carry none)."""
    days = 40
    march, december = "2026-03-20", "2026-12-18"
    smile = [(0.8, 0.38), (1.0, 0.3), (1.25, 0.27)]
    american = {"exercise": "american", "multiplier": 100.0}
    return {
        "underlyings": [
            {"underlying": "DIV", "currency": "USD", "spot": 80.0, "dividend_yield": 0.06, "vol_half_spread": 0.01},
            {"underlying": "FWD", "currency": "EUR", "spot": 120.0},
            {"underlying": "CARRY0", "currency": "USD", "spot": 30.0, "carry": "none"},
        ],
        "forwards": [{"underlying": "FWD", "expiry": march, "forward": 119.0},
                     {"underlying": "FWD", "expiry": december, "forward": 121.0}],
        "vols": [*slices("DIV", 80.0, {march: smile, december: smile}), *slices("FWD", 120.0, {march: smile}),
                 *slices("CARRY0", 30.0, {december: smile})],
        "rates": [{"currency": "USD", "expiry": march, "rate": 0.03},
                  {"currency": "USD", "expiry": december, "rate": 0.045},
                  {"currency": "EUR", "expiry": march, "rate": -0.01}],
        "fx": [{"currency": "EUR", "rate": 1.1}],
        "instruments": [
            option("DIV-C", "DIV", "2026-09-18", 75.0, "call", **american),
            option("DIV-P", "DIV", "2026-06-19", 90.0, "put", **american),
            option("FWD-P", "FWD", "2026-06-19", 125.0, "put", **american),
            option("FWD-C", "FWD", "2026-06-19", 125.0, "call", **american),
            option("C0-C", "CARRY0", december, 28.0, "call", iv=0.4, **american),
            linear("DIV", "spot", "DIV"),
        ],
        "positions": [
            *hold("a", **{"DIV-C": 5.0, "DIV": -300.0}),
            *hold("b", **{"DIV-P": -2.0, "FWD-P": -3.0, "FWD-C": 1.0, "C0-C": 9.0}),
        ],
        "history": {
            "date": days_before(date(2026, 1, 4), days),
            "spot:DIV": walk(41, 80.0, 0.012, days),
            "spot:FWD": walk(42, 80.0, 0.015, days),
            "spot:CARRY0": walk(43, 80.0, 0.02, days),
            "iv:DIV:90d": walk(44, 0.2, 0.03, days),
            "iv:FWD:90d": walk(45, 0.2, 0.03, days),
            "iv:CARRY0:90d": walk(46, 0.2, 0.03, days),
            "forward:FWD:90d": walk(47, 80.0, 0.014, days),
            "rate:USD:3m": walk(48, 0.04, 0.0006, days, additive=True),
            "fx:EUR": walk(49, 1.1, 0.004, days),
        },
    }  # fmt: skip


def corners() -> Book:
    """Where rules meet: forwards from the rate under forward factors or normal dynamics, edges of the vega buckets."""
    days = 40
    edges = ("2026-02-04T08:30:00Z", "2026-02-04T08:30:01Z", "2026-04-05T08:30:00Z", "2026-04-05T08:30:01Z",
             "2027-01-05T08:30:00Z", "2027-01-05T08:30:01Z")  # fmt: skip
    smile = [(0.9, 0.3), (1.1, 0.25)]
    return {
        "underlyings": [
            {"underlying": "EQF", "currency": "USD", "spot": 100.0, "dividend_yield": 0.01, "vega_adv": 50.0,
             "vol_half_spread": 0.01},
            {"underlying": "GAS", "currency": "USD", "spot": 4.0, "dynamics": "normal", "dividend_yield": -0.02},
        ],
        "vols": [*slices("EQF", 100.0, {"2026-06-05": smile}),
                 {"underlying": "GAS", "expiry": "2026-06-05", "strike": 4.0, "iv": 2.0}],
        "rates": [{"currency": "USD", "expiry": "2026-02-05", "rate": 0.03},
                  {"currency": "USD", "expiry": "2027-02-05", "rate": 0.05}],
        "instruments": [
            linear("EQF-F", "future", "EQF", expiry="2026-09-05"),
            linear("GAS-F", "future", "GAS", expiry="2026-09-05", multiplier=10.0),
            option("GAS-C", "GAS", "2026-09-05", 4.2, "call", multiplier=10.0),
            *(option(f"EQF-{i}", "EQF", expiry, 101.0, "put") for i, expiry in enumerate(edges)),
        ],
        "positions": [
            *hold("forward", **{"EQF-F": 3.0}),
            *hold("normal", **{"GAS-F": -2.0, "GAS-C": 5.0}),
            *(row for i in range(0, 6, 2) for row in hold(f"edge {i}", **{f"EQF-{i}": 20.0, f"EQF-{i + 1}": -20.0})),
        ],
        "history": {
            "date": days_before(date(2026, 1, 4), days),
            "spot:EQF": walk(71, 100.0, 0.01, days),
            "forward:EQF:1m": walk(72, 100.0, 0.01, days),
            "forward:EQF:1y": walk(73, 100.0, 0.01, days),
            "iv:EQF:1m": walk(74, 0.3, 0.03, days),
            "spot:GAS": walk(75, 4.0, 0.1, days, additive=True),
            "iv:GAS:1m": walk(76, 2.0, 0.03, days),
            "rate:USD:1m": walk(77, 0.03, 0.001, days, additive=True),
            "rate:USD:2y": walk(78, 0.03, 0.001, days, additive=True),
        },
    }  # fmt: skip
