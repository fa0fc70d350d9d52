"""A plain NumPy script: the textbook formula on whole arrays."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from cases import growths
from protocol import Peer, serve
from scipy.special import ndtr


# user code
def start(case: dict[str, Any], _threads: int) -> dict[str, Any]:
    o = {k: np.array(v) for k, v in case["options"].items()}
    spots = np.array([u["spot"] for u in case["underlyings"]])
    dividends = np.array([u["dividend_yield"] for u in case["underlyings"]])
    growth = np.array(growths(case))
    u, t = o["underlying"], o["days"] / 365.0
    return {
        "S": spots[u],
        "growth": growth[:, u, :],
        "K": o["strike"],
        "T": t,
        "sign": np.where(o["right"] == "call", 1.0, -1.0),
        "vol": o["volatility"],
        "discount": np.exp(-case["rate"] * t),
        "carry": np.exp((case["rate"] - dividends[u]) * t),
    }


def price(s: dict[str, Any], spot: np.ndarray, vol: np.ndarray) -> np.ndarray:
    forward = spot * s["carry"]
    deviation = vol * np.sqrt(s["T"])
    d1 = np.log(forward / s["K"]) / deviation + 0.5 * deviation
    return s["discount"] * s["sign"] * (forward * ndtr(s["sign"] * d1) - s["K"] * ndtr(s["sign"] * (d1 - deviation)))


def base(s: dict[str, Any]) -> np.ndarray:
    return price(s, s["S"], s["vol"])


def revalue(s: dict[str, Any]) -> Iterator[np.ndarray]:
    spot, vol = s["growth"]
    for t in range(spot.shape[1]):
        yield price(s, s["S"] * spot[:, t], s["vol"] * vol[:, t])


# end


if __name__ == "__main__":
    serve(Peer("NumPy script", "numpy", start, base, revalue))
