"""Books drawn at random within the contract's rules: any dynamics, carry, curves, kinds, configuration."""

import math
import random
from datetime import date, timedelta
from typing import Any

from oracle.books import AS_OF, Book, days_before, hold, linear, option, walk

CURRENCIES = ("USD", "EUR", "JPY")
TENORS = ("1d", "2w", "30d", "3m", "6m", "1.5y", "4y")
START = date(2026, 1, 5)


def book(seed: int, american: bool = False) -> tuple[Book, dict[str, Any]]:
    """A small book and its configuration, the same at every call."""
    draw = random.Random(seed)
    lookback = draw.randint(2, 30)
    days = lookback + 1 + draw.randint(0, 3)
    out: Book = {
        "underlyings": [],
        "instruments": [],
        "positions": [],
        "forwards": [],
        "vols": [],
        "rates": [],
        "fx": [],
    }
    history: dict[str, Any] = {"date": days_before(START, days)}
    out["history"] = history
    for currency in CURRENCIES:
        if currency != "USD":
            out["fx"].append({"currency": currency, "rate": draw.uniform(0.01, 2)})
            pegged = draw.random() < 0.3
            history[f"fx:{currency}"] = [1.0] * days if pegged else walk(draw.getrandbits(30), 1.0, 0.01, days)
        for expiry in _expiries(draw, draw.randint(0, 3)):
            out["rates"].append({"currency": currency, "expiry": expiry, "rate": draw.uniform(-0.03, 0.1)})
        for tenor in draw.sample(TENORS, draw.randint(0, 2)):
            history[f"rate:{currency}:{tenor}"] = walk(draw.getrandbits(30), 0.03, 0.001, days, additive=True)
    for u in range(draw.randint(1, 3)):
        _underlying(draw, out, f"U{u}", days, american)
    for account in range(3):
        for row in draw.sample(out["instruments"], min(4, len(out["instruments"]))):
            out["positions"] += hold(f"account {account}", **{row["instrument"]: round(draw.gauss(0, 10), 2)})
    return {name: table for name, table in out.items() if table}, _config(draw, lookback)


def _config(draw: random.Random, lookback: int) -> dict[str, Any]:
    return {
        "as_of": AS_OF,
        "base_currency": "USD",
        "holding_period_days": draw.choice([1, 1, 2, 10]),
        "level": draw.choice([0.5, 0.8, 0.95, 0.99, 0.995]),
        "measure": draw.choice(["var", "es", "worst"]),
        "returns": draw.choice(["log", "simple"]),
        "smile": draw.choice(["sticky_moneyness", "sticky_strike"]),
        "roll": draw.random() < 0.4,
        "fhs": {
            "lookback": lookback,
            "decay": draw.uniform(0.8, 0.99),
            "scaling": draw.choice(["full", "mid", "none"]),
        },
        "concentration": {"participation": draw.uniform(0.05, 1)},
    }


def _expiries(draw: random.Random, count: int) -> list[str]:
    """Distinct, some of them past, some within the holding period, some years away."""
    found = {draw.choice([-3, 1, 2, 5, 20, 45, 200, 700]) * draw.choice([1, 2, 3]) for _ in range(count)}
    return [(START + timedelta(days=n)).isoformat() + draw.choice(["", "T16:00:00-05:00"]) for n in sorted(found)]


def _underlying(draw: random.Random, out: Book, name: str, days: int, american: bool) -> None:
    normal = not american and draw.random() < 0.4
    carry = draw.random() < 0.7
    spot = draw.uniform(-20, 60) if normal else math.exp(draw.uniform(-2, 9))
    width = 15.0 if normal else 0.3
    row = {"underlying": name, "currency": draw.choice(CURRENCIES), "spot": spot}
    row |= {"dynamics": "normal" if normal else "lognormal", "carry": "rate" if carry else "none"}
    for key, scale in (("dividend_yield", 0.05), ("adv", 200), ("vega_adv", 500), ("half_spread", 0.01),
                       ("vol_half_spread", 0.02)):  # fmt: skip
        if draw.random() < 0.6:
            row[key] = draw.uniform(0.1, 1) * scale
    out["underlyings"].append(row)

    def near(scale: float) -> float:
        return spot + draw.gauss(0, 15 * scale) if normal else spot * math.exp(draw.gauss(0, scale))

    if carry and draw.random() < 0.5:
        for expiry in _expiries(draw, draw.randint(1, 3)):
            out["forwards"].append({"underlying": name, "expiry": expiry, "forward": near(0.02)})
    alive = False
    for expiry in _expiries(draw, draw.randint(1, 3)):
        alive |= expiry[:10] > START.isoformat()
        for strike in {near(0.3) for _ in range(draw.randint(1, 4))}:
            iv = width * draw.uniform(0.5, 2)
            out["vols"].append({"underlying": name, "expiry": expiry, "strike": strike, "iv": iv})
    _history(draw, out["history"], name, days, normal, carry)
    for i, expiry in enumerate(_expiries(draw, 6)):
        size = {"multiplier": draw.choice([1.0, 0.1, 50.0])}
        inverse = {"settlement": "inverse"} if not normal and not american and draw.random() < 0.4 else {}
        own = {"iv": width * draw.uniform(0.5, 2)} if not alive or draw.random() < 0.25 else {}
        style = {"exercise": "american"} if american else {}
        right = draw.choice(["call", "put"])
        out["instruments"] += [
            option(f"{name} option {i}", name, expiry, near(0.2), right, **size, **inverse, **own, **style),
            linear(f"{name} future {i}", "future", name, expiry=expiry, **size, **inverse),
        ]
    out["instruments"] += [linear(f"{name} spot", "spot", name), linear(f"{name} perpetual", "perpetual", name)]


def _history(draw: random.Random, history: Any, name: str, days: int, normal: bool, carry: bool) -> None:
    def levels() -> list[float]:
        return walk(draw.getrandbits(30), 20.0, 0.8 if normal else 0.03, days, additive=normal)

    history[f"spot:{name}"] = levels()
    for tenor in draw.sample(TENORS, draw.randint(1, 3)):
        history[f"iv:{name}:{tenor}"] = walk(draw.getrandbits(30), 0.3, 0.05, days)
    for tenor in draw.sample(TENORS, draw.randint(1, 2) if carry and draw.random() < 0.5 else 0):
        history[f"forward:{name}:{tenor}"] = levels()
