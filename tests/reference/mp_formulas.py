"""Black's and Bachelier's formulas as the textbooks write them, in mpmath with digits to spare."""

import mpmath as mp
import numpy as np


def normal_cdf(x: mp.mpf) -> mp.mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def black_mp(forward, strike, deviation, sign):
    d1 = mp.log(forward / strike) / deviation + deviation / 2
    return sign * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - deviation)))


def bachelier_mp(forward, strike, deviation, sign):
    d = (forward - strike) / deviation
    return sign * (forward - strike) * normal_cdf(sign * d) + deviation * mp.npdf(d)


def over_points(formula, *columns):
    """`formula` at every row of the float64 columns, with 60 digits: up to 30 of them cancel."""
    with mp.workdps(60):
        return [formula(*(mp.mpf(float(x)) for x in row)) for row in zip(*columns, strict=True)]


def worst_error(got, exact) -> float:
    """The largest error of the (n,) `got`: relative, but for what is below the normal float64 numbers."""
    floor = mp.mpf(float(np.finfo(np.float64).tiny))
    with mp.workdps(40):
        errors = [abs(mp.mpf(float(g)) - e) / max(abs(e), floor) for g, e in zip(got, exact, strict=True)]
        return float(max(errors))
