"""FinancePy (GPL: in a process and an environment of its own): an option at a time, its scenarios as one array."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
from cases import growths
from financepy.market.curves.flat_discount_curve import FlatDiscountCurve
from financepy.models.black_scholes import BlackScholes
from financepy.products.equity import EquityVanillaOption
from financepy.utils import Date
from financepy.utils.day_count import DayCountTypes
from financepy.utils.frequency import FrequencyTypes
from financepy.utils.global_types import OptionTypes
from protocol import Peer, serve


# user code
def start(case: dict[str, Any], _threads: int) -> dict[str, Any]:
    d = date.fromisoformat(case["as_of"])
    today = Date(d.day, d.month, d.year)

    def flat(rate: float) -> FlatDiscountCurve:
        return FlatDiscountCurve(today, rate, FrequencyTypes.CONTINUOUS, DayCountTypes.ACT_365F)

    o, sides = case["options"], {"call": OptionTypes.EUROPEAN_CALL, "put": OptionTypes.EUROPEAN_PUT}
    options = [
        EquityVanillaOption(today.add_days(days), strike, sides[right])
        for days, strike, right in zip(o["days"], o["strike"], o["right"], strict=True)
    ]
    return {
        "today": today,
        "options": list(zip(options, o["underlying"], o["volatility"], strict=True)),
        "spots": [u["spot"] for u in case["underlyings"]],
        "rate": flat(case["rate"]),
        "dividends": [flat(u["dividend_yield"]) for u in case["underlyings"]],
        "growth": np.array(growths(case)),
    }


def values(s: dict[str, Any], growth: np.ndarray) -> np.ndarray:
    spot, vol = growth
    return np.array(
        [
            option.value(s["today"], s["spots"][u] * spot[u], s["rate"], s["dividends"][u], BlackScholes(v * vol[u]))
            for option, u, v in s["options"]
        ]
    )


def base(s: dict[str, Any]) -> np.ndarray:
    return values(s, np.ones((2, len(s["spots"]), 1)))[:, 0]


def revalue(s: dict[str, Any]) -> Iterable[np.ndarray]:
    return values(s, s["growth"]).T


# end


if __name__ == "__main__":
    serve(Peer("FinancePy", "financepy", start, base, revalue))
