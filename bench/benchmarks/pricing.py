"""Revaluations a second on one core, against one line of NumPy."""

import time

import numpy as np
from scipy.special import ndtr

import cpu_reference as cr
from cpu_reference.types import OPTION

N_INSTRUMENTS, N_SCENARIOS, BLOCK = 2048, 1024, 1024


def best_rate(f, work: int, repeat: int = 7) -> float:
    """Millions of revaluations a second, the best of some runs."""
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        f()
        seconds.append(time.perf_counter() - begin)
    return work / min(seconds) / 1e6


def book(own_vol: bool, american: bool, normal: bool = False):
    """One maturity of half a year, strikes around the money, a smile of 41 knots."""
    rng = np.random.default_rng(0)
    n = N_INSTRUMENTS
    instruments = cr.Instruments(
        kind=np.full(n, OPTION, np.int8),
        maturity=np.zeros(n, np.intp),
        strike=np.sort(100.0 * np.exp(rng.normal(size=n) * 0.2)),
        sign=np.full(n, -1, np.int8),
        american=np.full(n, american),
        inverse=np.zeros(n, np.bool_),
        multiplier=np.ones(n),
        vol=np.full(n, (20.0 if normal else 0.3) if own_vol else np.nan),
    )
    knot = np.linspace(-1.0, 1.0, 41) * (100.0 if normal else 1.0)
    iv = (20.0 if normal else 0.3) * (1.0 + 0.3 * np.linspace(-1.0, 1.0, 41) ** 2)
    slope = np.concatenate([[0.0], np.diff(iv) / np.diff(knot), [0.0]])
    level = np.concatenate([iv[:1], iv])
    smile = cr.Smile(np.array([0, 41]), knot, np.stack([level**2, 2.0 * level * slope, slope**2], axis=1))
    curves = cr.Maturities(np.array([0.5]), np.array([101.0]), np.array([0.04]))
    market = cr.Market(normal, False, True, 100.0, 1.0, curves, curves, smile, smile)
    x = rng.normal(size=N_SCENARIOS) * 0.03
    forward = 101.0 + 100.0 * x if normal else 101.0 * np.exp(x)
    shocks = cr.Shocks(
        spot=forward / 1.01,
        fx=np.ones(N_SCENARIOS),
        forward=forward[None],
        rate=np.full((1, N_SCENARIOS), 0.04),
        vol_growth=np.exp(rng.normal(size=(1, N_SCENARIOS)) * 0.05),
    )
    return instruments, market, shocks


class Revalue:
    """`cpu_reference.revalue` with the volatility read from the smile and with the instrument's own, one thread."""

    params = (["smile", "own"], ["european", "bachelier", "american"])
    param_names = ("volatility", "exercise")
    unit = "million revaluations/s"
    timeout = 300

    def track_rate(self, volatility: str, exercise: str) -> float:
        """Tiles of 2,048 instruments in one block of 1,024 scenarios; American: fits included."""
        instruments, market, shocks = book(volatility == "own", exercise == "american", exercise == "bachelier")
        prepared = cr.prepare(instruments, market, shocks)
        out = np.empty((N_INSTRUMENTS, BLOCK))

        def run() -> None:
            ready = cr.prepare(instruments, market, shocks) if exercise == "american" else prepared
            for b in range(0, N_SCENARIOS, BLOCK):
                cr.revalue(instruments, market, shocks, ready, slice(b, b + BLOCK), out)

        return best_rate(run, N_INSTRUMENTS * N_SCENARIOS, repeat=7 if exercise != "american" else 3)

    track_rate.unit = "million/s"


def track_one_line_black_scholes() -> float:
    """What one writes first: every logarithm and temporary, the whole matrix at once."""
    rng = np.random.default_rng(0)
    strike = np.sort(100.0 * np.exp(rng.normal(size=N_INSTRUMENTS) * 0.2))[:, None]
    forward = 101.0 * np.exp(rng.normal(size=N_SCENARIOS) * 0.03)

    def run() -> None:
        s = 0.3 * np.sqrt(0.5)
        d1 = np.log(forward / strike) / s + 0.5 * s
        np.exp(-0.02) * (strike * ndtr(s - d1) - forward * ndtr(-d1))

    return best_rate(run, N_INSTRUMENTS * N_SCENARIOS)


track_one_line_black_scholes.unit = "million/s"
