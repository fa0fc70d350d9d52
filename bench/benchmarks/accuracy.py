"""Options a second against the error of their prices: European and Bachelier ones against 50 digits, American ones
against the direct pricer at its finest; one core.
"""

import time

import mpmath
import numpy as np

from cpu_reference.american import american
from cpu_reference.bachelier import bachelier
from cpu_reference.black import black
from cpu_reference.boundary import Puts
from cpu_reference.exercise import exercise_premium
from cpu_reference.premium import american_from_premium, fit_premium

N = 400
RATE, DIVIDEND, YEARS = 0.04, 0.015, 0.75


def market() -> tuple[np.ndarray, np.ndarray]:
    """Log-moneyness ln(F/K) within four deviations, and volatilities from 8 to 80 %."""
    rng = np.random.default_rng(1)
    vol = np.exp(rng.uniform(np.log(0.08), np.log(0.8), N))
    return rng.uniform(-4.0, 4.0, N) * vol * np.sqrt(YEARS), vol


def exact_black(x: float, deviation: float) -> mpmath.mpf:
    """Put of strike 1 on a forward e^x, to 50 digits."""
    with mpmath.workdps(50):
        d1 = mpmath.mpf(x) / deviation + mpmath.mpf(deviation) / 2
        return mpmath.ncdf(deviation - d1) - mpmath.exp(x) * mpmath.ncdf(-d1)


def exact_bachelier(gap: float, deviation: float) -> mpmath.mpf:
    """Put of strike 0 on a forward of `gap`, to 50 digits."""
    with mpmath.workdps(50):
        d = mpmath.mpf(gap) / deviation
        return -gap * mpmath.ncdf(-d) + deviation * mpmath.npdf(d)


class Accuracy:
    """The largest error over the strike (Bachelier: over one deviation), and prices a second at it."""

    params = (["european", "bachelier", "american, direct", "american, fitted"],)
    param_names = ("price",)
    timeout = 600

    def setup(self, price: str) -> None:
        x, vol = market()
        deviation = vol * np.sqrt(YEARS)
        if price == "european":
            self.run = lambda: black(np.exp(x), 1.0, deviation, -1)
            self.exact = np.array([float(exact_black(a, b)) for a, b in zip(x, deviation, strict=True)])
        elif price == "bachelier":
            self.run = lambda: bachelier(x, 0.0, deviation, -1) / deviation
            self.exact = np.array([float(exact_bachelier(a, b) / b) for a, b in zip(x, deviation, strict=True)])
        else:
            self._american(price, x - (RATE - DIVIDEND) * YEARS, vol)

    def _american(self, price: str, log_spot: np.ndarray, vol: np.ndarray) -> None:
        spot, discount = np.exp(log_spot), np.exp(-RATE * YEARS)
        forward = spot * np.exp((RATE - DIVIDEND) * YEARS)
        european = discount * black(forward, 1.0, vol * np.sqrt(YEARS), -1)
        puts = Puts(*(np.full(N, value) for value in (RATE, DIVIDEND)), vol, np.full(N, YEARS))
        finest = exercise_premium(log_spot[:, None], puts, tolerance=1e-13)
        exercised = log_spot <= finest.upper
        self.exact = np.where(exercised, 1.0 - spot, np.maximum(european + finest.premium[:, 0], 1.0 - spot))
        if price == "american, direct":
            self.run = lambda: american(spot, 1.0, YEARS, RATE, DIVIDEND, vol, -1)
            return
        fit = fit_premium(YEARS, -1, np.full(1, RATE), np.full(1, DIVIDEND), vol.min(), vol.max())
        columns, out = slice(0, 1), np.empty((N, 1))
        self.run = lambda: american_from_premium(fit, log_spot[:, None], vol[:, None], european[:, None], columns, out)[
            :, 0
        ]

    def track_largest_error(self, _price: str) -> float:
        """Of the strike, or of a deviation."""
        return float(np.abs(self.run() - self.exact).max())

    def track_rate(self, _price: str) -> float:
        """Prices a second, the best of some runs; what is fitted once a chain is not in the time."""
        seconds = []
        for _ in range(20):
            begin = time.perf_counter()
            self.run()
            seconds.append(time.perf_counter() - begin)
        return N / min(seconds) / 1e6

    track_rate.unit = "million/s"
