"""One underlying held outright, so that the margin is known in closed form, and its history of calm and stress."""

import math
import random
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from oracle.files import write_book

SPOT = 50.0
HELD = {"long": 8.0, "short": -3.0, "flat": 0.0}
LAST = date(2026, 1, 5)


def levels(days: int) -> list[float]:
    """Prices: a calm start, a stressed stretch, calm again."""
    draw = random.Random(3)
    out = [40.0]
    for i in range(days - 1):
        vol = 0.03 if days // 2 <= i < days // 2 + 15 else 0.008
        out.append(out[-1] * math.exp(draw.gauss(0, vol)))
    return out


def book(
    folder: Path,
    days: int = 90,
    prices: list[float] | None = None,
    toml: str = "",
    held: dict[str, float] | None = None,
    spot: float = SPOT,
    **config: Any,
) -> Path:
    """A folder to read; `config` replaces tables and keys of margin.toml, at the end of which `toml` stands."""
    prices = prices or levels(days)
    tables = {
        "underlyings": [{"underlying": "X", "currency": "USD", "spot": spot, "adv": 1e9, "half_spread": 0.0}],
        "instruments": [{"instrument": "X", "kind": "spot", "underlying": "X", "multiplier": 2.0}],
        "positions": [{"account": name, "instrument": "X", "quantity": q} for name, q in (held or HELD).items()],
        "history": {"date": [LAST - timedelta(days=len(prices) - 1 - i) for i in range(len(prices))], "spot:X": prices},
    }
    basic = {
        "as_of": f"{LAST}T08:00:00Z",
        "base_currency": "USD",
        "returns": "simple",
        "level": 0.9,
        "fhs": {"lookback": 30, "decay": 0.9},
    }
    merged = {key: value for key, value in {**basic, **config}.items() if value is not None}
    write_book(folder, tables, merged)
    with (folder / "margin.toml").open("a") as file:
        file.write(toml)
    return folder


def returns(prices: list[float]) -> list[float]:
    return [after / before - 1.0 for before, after in pairwise(prices)]


def deviation(sample: list[float]) -> float:
    mean = sum(sample) / len(sample)
    return math.sqrt(sum((r - mean) ** 2 for r in sample) / (len(sample) - 1))


def filtered(sample: list[float], decay: float) -> tuple[list[float], float]:
    """(volatility known before each return, forecast)."""
    variance = [deviation(sample) ** 2]
    for r in sample:
        variance.append(decay * variance[-1] + (1 - decay) * r * r)
    return [math.sqrt(v) for v in variance[:-1]], math.sqrt(variance[-1])


def shortfall(losses: list[float], level: float = 0.9) -> float:
    """ES where N·(1 − level) is a whole number."""
    n = round(len(losses) * (1 - level))
    return sum(sorted(losses)[-n:]) / n


def margin(account: str, moves: list[float]) -> float:
    """The margin of an account that holds the underlying outright: it loses −quantity·multiplier·spot·move."""
    return max(0.0, shortfall([-HELD[account] * 2.0 * SPOT * move for move in moves]))
