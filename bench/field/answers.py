"""The same answer first: every peer against the formula, American options against QuantLib's finest scheme."""

import math
from array import array
from pathlib import Path
from typing import Any

from cases import growths

TOLERANCE = {"european": 1e-6, "american": 1e-4}
"""Of max |Δ| / S: ORE writes money to six decimals, FinancePy approximates the normal distribution, gpu-var's contract
allows 1e-4 for American options."""


def normal(x: float) -> float:
    """Its distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def black_scholes(
    spot: float, strike: float, years: float, rate: float, dividend: float, vol: float, right: str
) -> float:
    """Merton (1973), with a continuous dividend yield."""
    sign = 1.0 if right == "call" else -1.0
    deviation = vol * math.sqrt(years)
    d1 = (math.log(spot / strike) + (rate - dividend) * years) / deviation + 0.5 * deviation
    held, paid = spot * math.exp(-dividend * years), strike * math.exp(-rate * years)
    return sign * (held * normal(sign * d1) - paid * normal(sign * (d1 - deviation)))


def european(case: dict[str, Any]) -> "array[float]":
    """Base prices of all options, then their P&L, options outermost."""
    o = case["options"]
    spots, vols = growths(case)
    base, pnl = array("d"), array("d")
    for u, days, strike, right, vol in zip(
        o["underlying"], o["days"], o["strike"], o["right"], o["volatility"], strict=True
    ):
        underlying = case["underlyings"][u]
        spot, terms = underlying["spot"], (days / 365.0, case["rate"], underlying["dividend_yield"])
        today = black_scholes(spot, strike, *terms, vol, right)
        base.append(today)
        for a, b in zip(spots[u], vols[u], strict=True):
            pnl.append(black_scholes(spot * a, strike, *terms, vol * b, right) - today)
    return base + pnl


def read(path: Path) -> "array[float]":
    """What a peer wrote."""
    out = array("d")
    out.frombytes(path.read_bytes())
    return out


def difference(case: dict[str, Any], got: "array[float]", expected: "array[float]") -> float:
    """max |Δ| / S over base prices and P&L; infinite where something is missing or is no number."""
    if len(got) != len(expected) or not all(map(math.isfinite, got)):
        return math.inf
    owner, count = case["options"]["underlying"], len(case["options"]["strike"])
    spots = [case["underlyings"][u]["spot"] for u in owner]
    scenarios = len(case["history"]["date"]) - 1
    largest = max(abs(a - b) / s for a, b, s in zip(got, expected, spots))  # noqa: B905 - the base prices come first
    for i, spot in enumerate(spots):
        part = slice(count + i * scenarios, count + (i + 1) * scenarios)
        largest = max(largest, *(abs(a - b) / spot for a, b in zip(got[part], expected[part], strict=True)))
    return largest


def portfolio_difference(case: dict[str, Any], got: list[float], expected: list[float]) -> float:
    """The largest difference of the book's P&L, as a part of Σ |quantity|·S."""
    if len(got) != len(expected) or not all(map(math.isfinite, got)):
        return math.inf
    o = case["options"]
    gross = sum(abs(q) * case["underlyings"][u]["spot"] for q, u in zip(o["quantity"], o["underlying"], strict=True))
    return max(abs(a - b) for a, b in zip(got, expected, strict=True)) / gross
