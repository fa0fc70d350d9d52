"""One generated input for every peer: options, market, history. Standard library only: any environment reads it.

A case is a JSON object: `name`, `exercise` ("european" or "american"), `as_of`, `currency`, `rate` (flat, continuous,
Act/365F), `underlyings` (name, spot, dividend_yield: flat, continuous), `options` (columns: underlying, a row of
`underlyings`; days to expiry; strike; right; volatility, the option's own; quantity, signed), `surface` (days,
moneyness = strike / spot: the grid on whose nodes all options lie) and `history` (date, then spot and volatility, a
list of levels an underlying). Scenario t multiplies spot and volatility of an underlying by level t+1 over level t;
rates and dividends stay. Volatilities stick to strikes.
"""

import json
import math
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

AS_OF = date(2026, 1, 2)
"""A Friday: every expiry is whole weeks away, which ORE counts alike under any calendar."""
RATE = 0.03
LEVEL = 0.99
STRIKES = [round(0.70 + 0.025 * i, 3) for i in range(25)]
"""Of spot: what an exchange lists around the money."""
PER_UNDERLYING = 1000

SIZES: dict[str, dict[str, Any]] = {
    "european-1000x1000": {"options": 1000, "scenarios": 1000, "exercise": "european"},
    "european-10000x500": {"options": 10_000, "scenarios": 500, "exercise": "european"},
    "american-1000x500": {"options": 1000, "scenarios": 500, "exercise": "american"},
}


def third_friday(year: int, month: int) -> date:
    """Of a month."""
    first = date(year, month, 1)
    return first + timedelta((4 - first.weekday()) % 7 + 14)


def expiries() -> list[int]:
    """Days to the third Fridays of twelve months, then of each quarter's last month: twenty."""
    months = [*range(12), *range(14, 38, 3)]
    return [(third_friday(2026 + m // 12, m % 12 + 1) - AS_OF).days for m in months]


def business_days(count: int) -> list[date]:
    """The last ones up to and with `AS_OF`, ascending."""
    days = []
    day = AS_OF
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day -= timedelta(1)
    return days[::-1]


def smile(at_the_money: float, moneyness: float, days: int) -> float:
    """An equity smile: skewed, flatter and lower for long expiries."""
    k = math.log(moneyness) / math.sqrt(0.25 + days / 365)
    return round(at_the_money * (1.0 - 0.25 * k + 0.3 * k * k) * (1.0 + 0.1 * math.exp(-days / 60.0)), 6)


def history(rng: random.Random, spot: float, level: float, returns: int) -> tuple[list[float], list[float]]:
    """Levels that end today: heavy-tailed returns, and a volatility that rises when the spot falls and reverts."""
    spots, vols = [0.0], [0.0]
    for _ in range(returns):
        chi = sum(rng.gauss(0.0, 1.0) ** 2 for _ in range(5)) / 5
        move = 0.012 * rng.gauss(0.0, 1.0) / math.sqrt(chi)
        spots.append(spots[-1] + move)
        vols.append(0.95 * vols[-1] - 2.0 * move + 0.02 * rng.gauss(0.0, 1.0))
    return (
        [round(spot * math.exp(x - spots[-1]), 6) for x in spots],
        [round(level * math.exp(x - vols[-1]), 8) for x in vols],
    )


def generate(name: str, *, options: int, scenarios: int, exercise: str, seed: int = 1) -> dict[str, Any]:
    """A case; the options are a thousand an underlying: twenty expiries, twenty-five strikes, call and put."""
    rng = random.Random(seed)
    days, underlyings, spots, vols = expiries(), [], [], []
    columns: dict[str, list[Any]] = {c: [] for c in ("underlying", "days", "strike", "right", "volatility", "quantity")}
    for u in range(-(-options // PER_UNDERLYING)):
        spot, level = round(math.exp(rng.gauss(4.5, 0.6)), 2), rng.uniform(0.18, 0.4)
        # ORE reads its simulated surface at strike / forward when it builds it and at strike / spot when it prices
        # (a FIXME in its source): its volatilities are the case's own only where forward and spot are the same.
        dividend = RATE if exercise == "european" else round(rng.uniform(0.01, 0.04), 4)
        underlyings.append({"name": f"U{u:02d}", "spot": spot, "dividend_yield": dividend})
        path = history(rng, spot, level, scenarios)
        spots.append(path[0])
        vols.append(path[1])
        for d in days:
            for m in STRIKES:
                for right in ("call", "put"):
                    near = math.exp(-0.5 * (math.log(m) / 0.15) ** 2)
                    quantity = round(rng.gauss(0.0, 5 + 40 * near)) or 1
                    row = (u, d, round(spot * m, 6), right, smile(level, m, d), quantity)
                    for column, value in zip(columns.values(), row, strict=True):
                        column.append(value)
    return {
        "name": name,
        "exercise": exercise,
        "as_of": AS_OF.isoformat(),
        "currency": "USD",
        "rate": RATE,
        "underlyings": underlyings,
        "options": {c: values[:options] for c, values in columns.items()},
        "surface": {"days": days, "moneyness": STRIKES},
        "history": {
            "date": [d.isoformat() for d in business_days(scenarios + 1)],
            "spot": spots,
            "volatility": vols,
        },
    }


def cut(case: dict[str, Any], scenarios: int) -> dict[str, Any]:
    """A case in its last scenarios only."""
    h = case["history"]
    keep = slice(-scenarios - 1, None)
    return case | {
        "history": {
            "date": h["date"][keep],
            "spot": [levels[keep] for levels in h["spot"]],
            "volatility": [levels[keep] for levels in h["volatility"]],
        }
    }


def growths(case: dict[str, Any]) -> tuple[list[list[float]], list[list[float]]]:
    """What spot and volatility of each underlying are multiplied by in each scenario."""
    h = case["history"]
    spot, vol = ([[b / a for a, b in zip(x, x[1:])] for x in h[k]] for k in ("spot", "volatility"))  # noqa: B905, RUF007
    return spot, vol


def save(case: dict[str, Any], path: Path) -> Path:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(case) + "\n")
    return path


def load(path: str | Path) -> dict[str, Any]:
    """From JSON."""
    case: dict[str, Any] = json.loads(Path(path).read_text())
    return case
