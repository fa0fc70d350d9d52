"""QuantLib in Python: an engine an option and quotes that move; or, with the argument formula, `blackFormula` alone."""

import math
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import QuantLib as ql  # noqa: N813 - its users' own name for it
from cases import growths
from protocol import Peer, serve


# user code
def start(case: dict[str, Any], _threads: int) -> dict[str, Any]:
    d = date.fromisoformat(case["as_of"])
    today = ql.Date(d.day, d.month, d.year)
    ql.Settings.instance().evaluationDate = today
    day_count = ql.Actual365Fixed()
    rate = ql.YieldTermStructureHandle(ql.FlatForward(today, case["rate"], day_count))
    spots = [ql.SimpleQuote(u["spot"]) for u in case["underlyings"]]
    dividends = [
        ql.YieldTermStructureHandle(ql.FlatForward(today, u["dividend_yield"], day_count)) for u in case["underlyings"]
    ]
    o = case["options"]
    vols, options = [], []
    for u, days, strike, right, vol in zip(
        o["underlying"], o["days"], o["strike"], o["right"], o["volatility"], strict=True
    ):
        quote = ql.SimpleQuote(vol)
        surface = ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(quote), day_count)
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(spots[u]), dividends[u], rate, ql.BlackVolTermStructureHandle(surface)
        )
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if right == "call" else ql.Option.Put, strike)
        option = ql.VanillaOption(payoff, exercise(case, today, today + days))
        option.setPricingEngine(engine(case, process))
        vols.append(quote)
        options.append(option)
    return {"case": case, "spots": spots, "vols": vols, "options": options, "growth": growths(case)}


def exercise(case: dict[str, Any], today: ql.Date, expiry: ql.Date) -> ql.Exercise:
    return ql.AmericanExercise(today, expiry) if case["exercise"] == "american" else ql.EuropeanExercise(expiry)


def engine(case: dict[str, Any], process: ql.BlackScholesMertonProcess) -> ql.PricingEngine:
    if case["exercise"] == "european":
        return ql.AnalyticEuropeanEngine(process)
    return ql.QdFpAmericanEngine(process, SCHEMES[scheme()]())


def base(s: dict[str, Any]) -> list[float]:
    return [option.NPV() for option in s["options"]]


def revalue(s: dict[str, Any]) -> Iterator[list[float]]:
    case = s["case"]
    spots, vols = [u["spot"] for u in case["underlyings"]], case["options"]["volatility"]
    owner, (spot, vol) = case["options"]["underlying"], s["growth"]
    pairs = list(zip(s["options"], s["vols"], vols, owner, strict=True))
    for t in range(len(case["history"]["date"]) - 1):
        for quote, today, path in zip(s["spots"], spots, spot, strict=True):
            quote.setValue(today * path[t])
        growth = [path[t] for path in vol]
        row = []
        for option, quote, today, u in pairs:
            quote.setValue(today * growth[u])
            row.append(option.NPV())
        yield row


# end


SCHEMES = {
    "fast": ql.QdFpAmericanEngine.fastScheme,
    "accurate": ql.QdFpAmericanEngine.accurateScheme,
    "high": ql.QdFpAmericanEngine.highPrecisionScheme,
}


def scheme() -> str:
    """Of the fixed-point engine: the second argument."""
    return sys.argv[2] if len(sys.argv) > 2 else "fast"


def formula_start(case: dict[str, Any], _threads: int) -> dict[str, Any]:
    """Everything that the formula takes."""
    o, rate = case["options"], case["rate"]
    rows = []
    for u, days, strike, right, vol in zip(
        o["underlying"], o["days"], o["strike"], o["right"], o["volatility"], strict=True
    ):
        t, underlying = days / 365.0, case["underlyings"][u]
        forward = underlying["spot"] * math.exp((rate - underlying["dividend_yield"]) * t)
        side = ql.Option.Call if right == "call" else ql.Option.Put
        rows.append((side, strike, forward, vol * math.sqrt(t), math.exp(-rate * t), u))
    return {"rows": rows, "growth": growths(case)}


def formula_base(s: dict[str, Any]) -> list[float]:
    """Today's prices."""
    return [ql.blackFormula(side, k, f, v, d) for side, k, f, v, d, _ in s["rows"]]


def formula_revalue(s: dict[str, Any]) -> Iterator[list[float]]:
    """A call an option and scenario."""
    spot, vol = s["growth"]
    price = ql.blackFormula
    for t in range(len(spot[0])):
        a, b = [path[t] for path in spot], [path[t] for path in vol]
        yield [price(side, k, f * a[u], v * b[u], d) for side, k, f, v, d, u in s["rows"]]


if __name__ == "__main__":
    if scheme() == "formula":
        serve(Peer("QuantLib blackFormula", "QuantLib", formula_start, formula_base, formula_revalue))
    else:
        serve(Peer("QuantLib", "QuantLib", start, base, revalue))
