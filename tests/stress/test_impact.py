"""Market impact against the published example, and against integrals and minima found otherwise."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from gpu_var.stress.close_out import law_of, mean_square_shares
from gpu_var.stress.impact import SQUARE_ROOT, ImpactLaw, almgren, best_days, impact
from gpu_var.tables.config_close_out import CloseOut


@pytest.mark.parametrize(
    ("turnover", "sigma", "temporary", "realised"),
    [
        (263.0, 157.0, (22, 15, 8), (32, 25, 18)),  # IBM: daily volatility 1.57 %
        (87.0, 226.0, (32, 21, 12), (43, 32, 23)),  # DRI: 2.26 %
    ],
)
def test_the_example_of_almgren_and_others(turnover, sigma, temporary, realised):
    """Almgren, Thum, Hauptmann & Li (2005), table 3: 10 % of a day's volume over 0.1, 0.2, 0.5 days, in bp."""
    days = np.array([0.1, 0.2, 0.5])
    size = np.full(3, 0.1)
    law = almgren(turnover)
    only = ImpactLaw(law.temporary, law.exponent)
    assert np.round(sigma * impact(only, size, days)).astype(int).tolist() == list(temporary)
    assert np.abs(sigma * impact(law, size, days) - np.array(realised)).max() <= 0.6  # the paper rounds the parts first
    assert sigma * law.permanent * 0.1 == pytest.approx({263.0: 20, 87.0: 22}[turnover], abs=0.5)


def test_the_mean_of_the_square_root_law_along_a_trade():
    """A trade of 30 % of a day's volume pays ∫₀¹ √(0.3·s) ds, the law of what has been traded so far."""
    mean, _ = quad(lambda s: np.sqrt(0.3 * s), 0.0, 1.0)
    assert impact(SQUARE_ROOT, np.array([0.3]), np.array([1.0]))[0] == pytest.approx(mean, rel=1e-9)


def test_parts_on_several_days_are_trades_of_a_day_each():
    size, days = 2.0, 5
    part = impact(SQUARE_ROOT, np.array([size / days]), np.array([1.0]))[0]
    assert impact(SQUARE_ROOT, np.array([size]), np.array([float(days)]))[0] == pytest.approx(part, rel=1e-14)


@pytest.mark.parametrize("law", [SQUARE_ROOT, almgren()])
def test_limits(law):
    days = np.array([1.0, 2.0, 10.0, 60.0])
    paid = impact(law, np.full(4, 1.5), days)
    assert (np.diff(paid) < 0).all()
    assert impact(law, np.zeros(1), np.ones(1))[0] == 0.0
    assert paid[-1] > 0.5 * law.permanent * 1.5  # what stays is paid however long it takes


@pytest.mark.parametrize("law", [SQUARE_ROOT, almgren(), ImpactLaw(1.0, 1.0)])
@pytest.mark.parametrize("risk", [0.3, 1.0, 20.0])
def test_best_days_are_the_minimum(law, risk):
    size, money = 3.0, 7.0

    def total(t: float) -> float:
        return money * float(impact(law, np.array([size]), np.array([t]))[0]) + risk * np.sqrt(t)

    found = minimize_scalar(
        lambda log_t: total(np.exp(log_t)), bounds=(-12, 12), method="bounded", options={"xatol": 1e-10}
    )
    days = best_days(law, np.array([size]), np.array([money]), np.array([risk]))
    assert days[0] == pytest.approx(np.exp(found.x), rel=1e-5)


def test_best_days_without_impact_or_risk():
    zero, one = np.zeros(1), np.ones(1)
    assert best_days(SQUARE_ROOT, zero, one, one)[0] == 0.0
    assert best_days(SQUARE_ROOT, one, one, zero)[0] == np.inf


def test_shares_of_equal_parts_are_those_of_almgren_and_chriss():
    """Almgren & Chriss (2000), eq. 9: sold in N equal parts over T, the variance is ⅓σ²X²T(1 − 1/N)(1 − 1/(2N))."""
    days, parts = 7.0, 100_000
    of_parts = days / 3 * (1 - 1 / parts) * (1 - 1 / (2 * parts))
    shares = mean_square_shares(0.0, np.array([days]), 10)
    assert shares.sum() == pytest.approx(of_parts, rel=2e-5)
    assert shares[0, 0] == pytest.approx(quad(lambda t: (1 - t / days) ** 2, 0, 1)[0], rel=1e-12)
    assert shares[7:].tolist() == [[0.0], [0.0], [0.0]]


def test_shares_with_a_lag_and_a_part_of_a_day():
    """Two days of waiting, then 2.5 days: the third day's mean square is ∫₀¹(1 − t/2.5)² dt, the fifth's ½ a day's."""
    shares = mean_square_shares(2.0, np.array([2.5]), 6)[:, 0]
    assert shares[:2].tolist() == [1.0, 1.0]
    assert shares[2] == pytest.approx(quad(lambda t: (1 - t / 2.5) ** 2, 0, 1)[0], rel=1e-12)
    assert shares[4] == pytest.approx(quad(lambda t: (1 - t / 2.5) ** 2, 2, 2.5)[0], rel=1e-12)
    assert shares[5] == 0.0
    assert shares.sum() == pytest.approx(2 + 2.5 / 3, rel=1e-14)


def test_the_law_of_a_file():
    assert law_of(CloseOut()) == SQUARE_ROOT
    scaled = law_of(CloseOut(impact="almgren", turnover_days=263.0, impact_scale=2.0))
    assert scaled == ImpactLaw(2 * 0.142, 0.6, 2 * 0.314 * 263.0**0.25)
    assert law_of(CloseOut(impact="almgren")) == almgren(200.0)
    assert law_of(CloseOut(impact_scale=0.0)).temporary == 0.0
