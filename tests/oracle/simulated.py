"""A book whose accounts give away the Monte Carlo draws, and how to read the draws off their P&L."""

import math
from datetime import date

from oracle.books import Book, days_before, hold, linear, option, walk
from oracle.pricing import black


def simulated() -> Book:
    """For Monte Carlo: six accounts that give away the draws (see `recover`), and two that use them."""
    days = 90
    common = walk(50, 0.0, 1.0, days, additive=True)
    own = [walk(51 + i, 0.0, 1.0, days, additive=True) for i in range(4)]

    def mixed(i: int, level: float, share: float, vol: float) -> list[float]:
        return [level * math.exp(vol * (share * c + (1 - abs(share)) * x)) for c, x in zip(common, own[i], strict=True)]

    return {
        "underlyings": [
            {"underlying": "A", "currency": "USD", "spot": 100.0, "adv": 10.0},
            {"underlying": "B", "currency": "EUR", "spot": 20.0, "half_spread": 0.01},
            {"underlying": "C", "currency": "HKD", "spot": 5.0, "dynamics": "normal"},
        ],
        "fx": [{"currency": "EUR", "rate": 1.2}, {"currency": "HKD", "rate": 0.125}],
        "instruments": [
            linear("A", "spot", "A"),
            option("A-IV", "A", "2026-04-15T08:30:00Z", 100.0, "call", iv=0.3),
            option("A-C", "A", "2026-07-05", 110.0, "call", iv=0.25),
            linear("B", "spot", "B"),
            linear("B-P", "perpetual", "B"),
            linear("C", "spot", "C"),
        ],
        "positions": [
            *hold("give A", A=1.0),
            *hold("give A iv", **{"A-IV": 1.0}),
            *hold("give B", B=1.0),
            *hold("give B perpetual", **{"B-P": 1.0}),
            *hold("give C", C=1.0),
            *hold("use one", **{"A-C": -10.0, "A": 3.0}),
            *hold("use all", **{"A-C": 5.0, "A": -1.0, "B": -7.0, "B-P": 3.0, "C": 60.0}),
        ],
        "history": {
            "date": days_before(date(2026, 1, 5), days),
            "spot:A": mixed(0, 90.0, 0.7, 0.01),
            "spot:B": mixed(1, 21.0, 0.5, 0.015),
            "spot:C": [5 + 0.2 * x for x in own[2]],
            "iv:A:30d": mixed(3, 0.3, -0.6, 0.03),
            "fx:EUR": mixed(2, 1.2, -0.4, 0.004),
            "fx:HKD": [0.125] * days,
        },
    }  # fmt: skip


def recover(pnl: dict[str, list[float]]) -> list[dict[str, float]]:
    """The shocks behind each path of `simulated`, from the P&L of the accounts that give them away."""
    out = []
    for path in range(len(pnl["give A"])):
        spot_a = 100.0 + pnl["give A"][path]
        today = black(100.0, 100.0, 100 / 365, 0.0, 0.3, 1)
        low, high = 1e-4, 5.0
        for _ in range(70):
            middle = (low + high) / 2
            cheap = black(spot_a, 100.0, 100 / 365, 0.0, middle, 1) < today + pnl["give A iv"][path]
            low, high = (middle, high) if cheap else (low, middle)
        value_b = 24.0 + pnl["give B"][path]
        fx = (value_b - pnl["give B perpetual"][path]) / 20.0
        out.append({
            "spot:A": math.log(spot_a / 100), "iv:A:30d": math.log(low / 0.3), "fx:EUR": math.log(fx / 1.2),
            "spot:B": math.log(value_b / fx / 20), "spot:C": pnl["give C"][path] / 0.125, "fx:HKD": 0.0,
        })  # fmt: skip
    return out
