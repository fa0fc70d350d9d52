"""Scan risk and its parts against McMillan's table, and what holds of any array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpu_var.margin.scan.grid import grid_of
from gpu_var.margin.scan.risk import group_risk, scan_risk, weighted_futures_price_risk
from gpu_var.tables.config_scan import Scan

SIXTEEN = grid_of(Scan(price_range=0.1, vol_range=0.3))

# McMillan, Options as a Strategic Investment, chapter 34: P&L of one long contract, price scan range $10,000. The
# extreme moves stand there with 35 % of their loss already.
FUTURE = [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670, 10000, 10000, -10000, -10000, 7000, -7000]
CALL = [460, -610, 2640, 1730, -1270, -2340, 5210, 4540, -2540, -3430, 8060, 7640, -3380, -3990, 3130, -1500]

losses = arrays(np.float64, (4, 16), elements=st.floats(-1e6, 1e6))


def of(*portfolios):
    """Risk of portfolios of (futures, calls)."""
    pnl = np.array([[f * x + c * y for x, y in zip(FUTURE, CALL, strict=True)] for f, c in portfolios], dtype=float)
    return scan_risk(-pnl, SIXTEEN)


def test_published_scan_risk():
    risk = of((0, 1), (0, -1), (1, -1), (1, 0), (-1, 0))
    assert risk.scan.tolist() == [3990, 8060, 6620, 10000, 10000]
    assert (risk.active + 1).tolist() == [14, 11, 13, 13, 11]


def test_published_parts_of_a_covered_call():
    risk = of((1, -1))
    assert risk.volatility_adjusted.tolist() == [6315]
    assert risk.time.tolist() == [-75]
    assert risk.price.tolist() == [6390]
    assert risk.volatility.tolist() == [6620 - 6315]


def test_pairs_of_the_sixteen():
    assert (SIXTEEN.pair + 1).tolist() == [2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 15, 16]
    assert SIXTEEN.centre == 0
    assert SIXTEEN.name == [str(i) for i in range(1, 17)]


def test_pairs_where_volatility_has_three_levels():
    moves = [[0, 1, 1], [0, 0, 1], [0, -1, 1], [1, 1, 1], [1, 0, 1], [1, -1, 1], [2, 1, 1]]
    grid = grid_of(Scan(price_range=0.1, vol_range=0.3, grid=moves, extended=[[0, -1, 0.5]]))
    # The first scenario of `extended` moves by no multiple of the range, and so has no partner among the others.
    assert grid.pair.tolist() == [2, 1, 0, 5, 4, 3, 6, 7]


def test_a_grid_that_always_moves_the_price_has_no_time_risk():
    grid = grid_of(Scan(price_range=0.1, vol_range=0.0, grid=[[1, 0, 1], [-1, 0, 1]]))
    risk = scan_risk(np.array([[5.0, -5.0]]), grid)
    assert (grid.centre, risk.time[0], risk.price[0]) == (-1, 0.0, 5.0)


def test_ties_go_to_the_lowest_number():
    assert of((0, 0)).active.tolist() == [0]
    assert scan_risk(np.array([[1.0, 3.0, 3.0, *[0.0] * 13]]), SIXTEEN).active.tolist() == [1]


def test_no_portfolio_is_no_row():
    assert scan_risk(np.empty((0, 16)), SIXTEEN).scan.shape == (0,)


def test_a_loss_that_is_not_a_number_stays_none():
    row = np.zeros((1, 16))
    row[0, 4] = np.nan
    assert np.isnan(scan_risk(row, SIXTEEN).scan).all()


@given(losses, losses)
def test_scan_risk_is_subadditive_and_floored(a, b):
    both, parts = scan_risk(a + b, SIXTEEN), scan_risk(a, SIXTEEN).scan + scan_risk(b, SIXTEEN).scan
    assert (both.scan <= parts + 1e-9 * (np.abs(a).max() + np.abs(b).max())).all()
    assert (both.scan >= 0).all()


@given(losses)
def test_what_offsets_exactly_has_no_risk(a):
    assert (scan_risk(a + -a, SIXTEEN).scan == 0).all()


@given(losses, arrays(np.float64, (4, 16), elements=st.floats(0, 1e6)))
def test_a_worse_grid_never_lowers_the_risk(a, worse):
    assert (scan_risk(a + worse, SIXTEEN).scan >= scan_risk(a, SIXTEEN).scan).all()


@given(losses)
def test_the_parts_add_up(a):
    risk = scan_risk(a, SIXTEEN)
    assert risk.volatility + risk.time + risk.price == pytest.approx(risk.scan, rel=1e-9, abs=1e-9)


def test_price_risk_of_a_unit_of_delta():
    wfpr = weighted_futures_price_risk(np.array([6390.0, 100.0, -5.0, 7.0]), np.array([-0.5, 0.0, 1.0, 2.0]))
    assert wfpr.tolist() == [12780.0, 0.0, 0.0, 3.5]


def test_the_short_option_minimum_is_a_floor_where_there_is_one():
    scan, charges, credit = np.array([100.0, 100.0, -50.0]), np.array([30.0, 0.0, 0.0]), np.array([60.0, 90.0, 0.0])
    assert group_risk(scan, charges, credit, np.array([0.0, 40.0, 0.0])).tolist() == [70.0, 40.0, -50.0]
