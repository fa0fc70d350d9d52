"""Revaluations a second on one core, against one line of NumPy."""

import time

import numpy as np
from scipy.special import ndtr

import cpu_reference as cr
from gpu_var.benchmark.cases import one_maturity

N_INSTRUMENTS, N_SCENARIOS, BLOCK = 2048, 1024, 1024


def best_rate(f, work: int, repeat: int = 7) -> float:
    """Millions of revaluations a second, the best of some runs."""
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        f()
        seconds.append(time.perf_counter() - begin)
    return work / min(seconds) / 1e6


class Revalue:
    """`cpu_reference.revalue` with the volatility read from the smile and with the instrument's own, one thread."""

    params = (["smile", "own"], ["european", "bachelier", "american"])
    param_names = ("volatility", "exercise")
    unit = "million revaluations/s"
    timeout = 300

    def track_rate(self, volatility: str, exercise: str) -> float:
        """Tiles of 2,048 instruments in one block of 1,024 scenarios; American: fits included."""
        instruments, market, shocks = one_maturity(
            N_INSTRUMENTS,
            N_SCENARIOS,
            own_vol=volatility == "own",
            american=exercise == "american",
            normal=exercise == "bachelier",
        )
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
