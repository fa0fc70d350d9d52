"""vollib, which py_vollib now is a shell of; or, asked for by an argument, py_vollib_vectorized on an old py_vollib."""

import sys
from collections.abc import Iterator
from typing import Any

from cases import growths
from protocol import Peer, serve


# user code
def start(case: dict[str, Any], _threads: int) -> dict[str, Any]:
    o = case["options"]
    columns = zip(o["underlying"], o["days"], o["strike"], o["right"], o["volatility"], strict=True)
    rows = [
        (u, right[0], strike, days / 365.0, vol, case["underlyings"][u]["dividend_yield"])
        for u, days, strike, right, vol in columns
    ]
    return {
        "rows": rows,
        "rate": case["rate"],
        "spots": [u["spot"] for u in case["underlyings"]],
        "growth": growths(case),
    }


def base(s: dict[str, Any]) -> list[float]:
    return prices(s, s["spots"], [1.0] * len(s["spots"]))


def prices(s: dict[str, Any], spot: list[float], growth: list[float]) -> list[float]:
    rate = s["rate"]
    return [
        black_scholes_merton(flag, spot[u], strike, t, rate, vol * growth[u], dividend)
        for u, flag, strike, t, vol, dividend in s["rows"]
    ]


def revalue(s: dict[str, Any]) -> Iterator[list[float]]:
    spots, vols = s["growth"]
    for t in range(len(spots[0])):
        yield prices(s, [x * g[t] for x, g in zip(s["spots"], spots, strict=True)], [g[t] for g in vols])


# end


def many(s: dict[str, Any], spot: list[float], growth: list[float]) -> Any:
    """A call a scenario."""
    if "arrays" not in s:
        s["arrays"] = [np.array(column) for column in zip(*s["rows"], strict=True)]
    u, flag, strike, t, vol, dividend = s["arrays"]
    return vectorized(
        flag, np.array(spot)[u], strike, t, s["rate"], vol * np.array(growth)[u], dividend, return_as="numpy"
    )


if __name__ == "__main__":
    if "vectorized" in sys.argv[2:]:
        import numpy as np
        from py_vollib_vectorized.models import vectorized_black_scholes_merton as vectorized

        prices = many
        serve(Peer("py_vollib_vectorized", "py_vollib_vectorized", start, base, revalue))
    else:
        from vollib.black_scholes_merton import black_scholes_merton

        serve(Peer("vollib", "vollib", start, base, revalue))
