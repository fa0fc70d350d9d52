"""The ranges that premiums are fitted over, against every scenario and option looked at one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpu_reference.reached import reached, vol_ranges
from cpu_reference.smile import smile_variance
from cpu_reference.types import OPTION, Instruments, Shocks, Smile

YEARS = np.array([0.1, 0.5, 2.0])
SPOT, RATE = 80.0, np.array([0.01, 0.02, 0.03])
FORWARD = SPOT * np.exp((RATE - 0.015) * YEARS)
SMILE = Smile(
    np.array([0, 2, 3, 3]),
    np.array([-0.2, 0.1, 0.0]),
    np.array([[0.09, 0, 0], [0.09, -0.2, 0.5], [0.075, 0, 0], [0.04, 0, 0], [0.05, 0, 0], [0.06, 0, 0]]),
)
BEGIN = np.array([0, 4, 8, 12])
N = 16


def shocks(rng: np.random.Generator, n: int, rates: bool, forwards: bool) -> Shocks:
    spot = SPOT * np.exp(rng.normal(0.0, 0.2, n))
    rate = RATE[:, None] + (rng.normal(0.0, 0.01, (3, n)) if rates else 0.0)
    carry = (FORWARD / SPOT)[:, None] * (np.exp(rng.normal(0.0, 0.01, (3, n))) if forwards else 1.0)
    growth = np.exp(rng.normal(0.0, 0.3, n))
    every = (3, n)
    levels = carry * spot, np.broadcast_to(rate, every), np.broadcast_to(growth, every)
    return Shocks.of_levels(False, spot, np.ones(n), *levels)


def today() -> Shocks:
    return Shocks.of_levels(False, np.array([SPOT]), np.ones(1), FORWARD[:, None], RATE[:, None], np.ones((3, 1)))


def options(rng: np.random.Generator) -> Instruments:
    own = np.where(rng.random(N) < 0.3, rng.uniform(0.1, 0.9, N), np.nan)
    own[:4] = [0.2, 0.5, 0.3, 0.4]  # a run without a smile
    return Instruments(
        kind=np.full(N, OPTION, np.int8),
        maturity=np.repeat([0, 0, 1, 2], 4),
        strike=SPOT * np.exp(rng.normal(0.0, 0.3, N)),
        sign=np.repeat([1, -1, 1, -1], 4).astype(np.int8),
        american=np.ones(N, np.bool_),
        inverse=np.zeros(N, np.bool_),
        multiplier=np.ones(N),
        vol=own,
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.booleans(), st.booleans(), st.booleans())
def test_rates_and_dividends_are_those_of_each_scenario(
    seed: int, n: int, rates: bool, forwards: bool, with_today: bool
) -> None:
    moved, last = shocks(np.random.default_rng(seed), n, rates, forwards), today() if with_today else None
    over = reached(YEARS, FORWARD, moved, last)
    parts = [part for part in (moved, last) if part is not None]
    each = [[part.at(m) for part in parts] for m in range(3)]
    spot, forward, rate, growth = (
        np.array([np.concatenate([getattr(one, name) for one in of]) for of in each])
        for name in ("spot", "forward", "rate", "vol_growth")
    )
    for m, years in enumerate(YEARS):
        np.testing.assert_array_equal(over.rate[m], rate[m])
        expected = rate[m] - np.log(forward[m] / spot[m]) / years
        np.testing.assert_allclose(over.dividend[m], expected, rtol=0, atol=1e-13 / years)
        alike = over.dividend[m].strides == (0,)
        assert alike == (over.rate[m].strides == (0,))
        if n + with_today > 1:
            assert alike == (not rates and not forwards)
        assert (over.growth[0][m], over.growth[1][m]) == (growth[m].min(), growth[m].max())
        np.testing.assert_allclose(over.step[0][m], np.log(FORWARD[m] / forward[m]).min(), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(over.step[1][m], np.log(FORWARD[m] / forward[m]).max(), rtol=1e-12, atol=1e-15)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_ranges_hold_the_volatility_of_each_option_in_each_scenario(seed: int, sticky_strike: bool) -> None:
    rng = np.random.default_rng(seed)
    listed, moved = options(rng), shocks(rng, 40, rates=False, forwards=True)
    low, high = vol_ranges(listed, BEGIN, SMILE, FORWARD, sticky_strike, reached(YEARS, FORWARD, moved, today()))
    for run, begin in enumerate(BEGIN):
        rows = slice(begin, begin + 4)
        m = listed.maturity[rows]
        k = np.log(listed.strike[rows] / FORWARD[m])[:, None]
        step = np.zeros(40) if sticky_strike else np.log(FORWARD[m[0]] / moved.at(m[0]).forward)
        at = (k + step).ravel()
        read = np.sqrt(smile_variance(SMILE, np.full(len(at), m[0]), at)).reshape(4, 40)
        base = np.where(np.isnan(listed.vol[rows, None]), read, listed.vol[rows, None])
        vol = base * moved.at(m[0]).vol_growth
        assert low[run] <= vol.min() * (1 + 1e-12)
        assert high[run] >= vol.max() * (1 - 1e-12)
        # No wider than the ends of both together.
        if sticky_strike or not np.isnan(listed.vol[rows]).any():
            growth = np.append(moved.at(m[0]).vol_growth, 1.0)
            assert low[run] == pytest.approx(base.min() * growth.min(), rel=1e-12)
            assert high[run] == pytest.approx(base.max() * growth.max(), rel=1e-12)


def test_what_is_no_number_stays_none() -> None:
    moved = shocks(np.random.default_rng(1), 5, rates=False, forwards=False)
    moved.move[2, 2] = np.nan  # the forward of maturity 1
    listed = options(np.random.default_rng(2))._replace(vol=np.full(N, np.nan))
    over = reached(YEARS, FORWARD, moved)
    low, high = vol_ranges(listed, BEGIN, SMILE, FORWARD, False, over)
    assert [q.strides == (0,) for q in over.dividend] == [True, False, True]
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, False, True, False]
