"""A venue's grid: the volatility law, discounted value, tails. Published numbers, closed forms, properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_var.margin.scan.discount import discount_factor, discounted
from gpu_var.margin.scan.tails import damped, in_underlying
from gpu_var.margin.scan.vol_law import VolLaw, vol_factor
from gpu_var.tables.config_contingency import Discount

DAY = 1.0 / 365.0
DERIVE = VolLaw(0.45, 0.30, 1.0, 0.30, 0.13)
ONE = np.array([1.0])


def test_fifteen_days_at_38_per_cent_is_the_published_move():
    # Deribit, "Portfolio margin": (30/15)^0.30·38 %, worked out to 46.7835 %.
    law = VolLaw(0.38, 0.38, 1.0, 0.30, 0.13)
    assert vol_factor(np.array([15 * DAY]), ONE, law)[0, 0] - 1.0 == pytest.approx(0.467835, abs=5e-7)


@pytest.mark.parametrize(
    ("days", "up", "down"),
    [  # 1 + 0.45·s and 1 − 0.30·s by hand
        (30.0, 1.45, 0.70),  # s = 1 on both sides of the pivot
        (60.0, 1 + 0.45 * 0.5**0.13, 1 - 0.30 * 0.5**0.13),
        (7.5, 1 + 0.45 * 4**0.30, 1 - 0.30 * 4**0.30),
        (1.0, 1 + 0.45 * 30**0.30, 1 - 0.30 * 30**0.30),
        (0.25, 1 + 0.45 * 30**0.30, 1 - 0.30 * 30**0.30),  # under the floor of a day
        (-3.0, 1 + 0.45 * 30**0.30, 1 - 0.30 * 30**0.30),  # expired
    ],
)
def test_the_law_by_hand(days, up, down):
    found = vol_factor(np.array([days * DAY]), np.array([1.0, 0.0, -1.0]), DERIVE)
    assert found == pytest.approx(np.array([[up, 1.0, down]]), rel=1e-14)


def test_thirty_days_are_long():
    # p matters only where T differs from 30 days; with another pivot it shows which side a maturity is on.
    law = VolLaw(0.5, 0.5, 1.0, 0.30, 0.13, pivot_days=10.0)
    days = np.array([9.99, 10.0, 10.01])
    power = np.log((vol_factor(days * DAY, ONE, law)[:, 0] - 1.0) / 0.5) / np.log(30.0 / days)
    assert power == pytest.approx([0.30, 0.13, 0.13], rel=1e-12)


def test_no_volatility_is_negative():
    law = VolLaw(1.0, 5.0, 1.0, 0.30, 0.13)
    assert (vol_factor(np.array([DAY, 1.0]), np.array([-1.0]), law) >= 0.0).all()
    assert vol_factor(np.array([DAY]), np.array([-1.0]), law)[0, 0] == 0.0


@given(st.floats(-1.0, 3.0), st.floats(-1.0, 1.0), st.floats(0.0, 2.0))
def test_powers_of_zero_are_a_flat_range(years, multiple, reach):
    found = vol_factor(np.array([years]), np.array([multiple]), VolLaw(reach, reach, 1.0, 0.0, 0.0))
    assert found[0, 0] == pytest.approx(max(0.0, 1.0 + reach * multiple), rel=1e-15, abs=1e-15)


@given(st.floats(0.0, 3.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_wider_move_is_wider_at_every_maturity(years, one, other):
    low, high = sorted((one, other))
    found = vol_factor(np.array([years]), np.array([-high, -low, low, high]), DERIVE)[0]
    assert (np.diff(found) >= 0.0).all()


def test_discount_by_hand():
    # Derive: 0.95·exp(−T·(4r + 0.05)); T = 0.5, r = 0.05: 0.95·exp(−0.125) = 0.838372
    found = discount_factor(np.array([0.5, 0.5, 0.0, -1.0]), np.array([0.05, -0.02, 0.05, 0.05]), Discount())
    assert found == pytest.approx([0.95 * np.exp(-0.125), 0.95 * np.exp(-0.025), 0.95, 0.95], rel=1e-15)
    assert found[0] == pytest.approx(0.838372, abs=5e-7)


def test_only_what_is_worth_something_is_discounted():
    pnl, value = np.array([[10.0, -150.0, 0.0], [-10.0, 200.0, 0.0]]), np.array([100.0, -50.0])
    found = discounted(pnl, value, np.array([0.9, 0.9]))
    # 0.9·110 − 100; −50 is a debt and counts whole: −50 − 100; 0.9·100 − 100. A debt that becomes worth 150 gains 185.
    assert found == pytest.approx(np.array([[-1.0, -150.0, -10.0], [-10.0, 185.0, 0.0]]))


def test_a_factor_of_one_keeps_every_bit():
    pnl = np.random.default_rng(3).normal(size=(50, 7)) * 1e6
    value = np.random.default_rng(4).normal(size=50) * 1e5
    assert (discounted(pnl, value, np.ones(50)) == pnl).all()


amounts = st.floats(-1e9, 1e9)


@given(amounts, amounts, amounts, amounts, st.floats(0.0, 1.0))
def test_discounted_losses_are_sub_additive_and_never_smaller(p1, v1, p2, v2, factor):
    one, other, both = (
        discounted(np.array([[p]]), np.array([v]), np.array([factor]))[0, 0]
        for p, v in ((p1, v1), (p2, v2), (p1 + p2, v1 + v2))
    )
    slack = 1e-9 * (abs(p1) + abs(p2) + abs(v1) + abs(v2) + 1.0)
    assert -both <= -one - other + slack
    assert -one >= -p1


def test_deribits_documented_vectors_in_coins():
    # API reference of private/pme/simulate: positions in BTC, price range 16 %, nine price points and eight tails.
    # The engine's P&L of an inverse contract, face·(1/F₀ − 1/F₁)·S₁, is q·s·S₀ for q coins; in coins q·(1 − 1/(1 + s)).
    perpetual, future, spot, reach = 0.314538364, -0.001187534, 65_910.57, 0.16
    move = np.array([*(reach * np.arange(-4, 5) / 4), -0.66, -0.33, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
    multiple = move / reach
    weight = np.minimum(1.0, 1.0 / np.maximum(np.abs(multiple), 1.0))
    pnl = np.array([[perpetual], [future]]) * move * spot * weight
    coins = in_underlying(pnl, np.zeros(2), multiple, np.broadcast_to(1.0 + move, pnl.shape)) / spot
    left, right = -0.05991206933333334, 0.043384601931034494
    standard = [left, -0.04289159509090909, -0.027351162086956524, -0.013105765166666668, 0.0]
    standard += [0.012097629384615385, 0.023299138074074074, 0.033700538999999995, right]
    assert coins[0] == pytest.approx([*standard, left, left, *[right] * 6], rel=1e-12, abs=1e-15)
    assert coins[1, [0, 8]] == pytest.approx([0.0002261969523809524, -0.00016379779310344832], rel=1e-12)
    assert coins[:, 0].sum() == pytest.approx(-0.05968587238095239, rel=1e-12)
    # Its dampener of 100,000 US dollars a range leaves nothing of the tails, as documented: eight zeros.
    assert damped(pnl.sum(axis=0, keepdims=True), multiple, 100_000.0)[0, 9:] == pytest.approx(np.zeros(8), abs=0)


def test_the_coin_itself_is_no_risk_in_coins():
    move = np.array([-0.16, -0.08, 0.0, 0.16])
    coins = in_underlying(500.0 * move[None], np.array([500.0]), move / 0.16, 1.0 + move[None])
    assert coins == pytest.approx(np.zeros((1, 4)), abs=1e-12)


def test_an_option_in_coins():
    # Worth 0.05 coins at 100, 12 dollars at 116: 12/116 − 0.05 coins, valued at 100. Bought and sold alike.
    for sign in (1.0, -1.0):
        pnl, value = np.array([[sign * 7.0]]), np.array([sign * 5.0])
        found = in_underlying(pnl, value, np.array([1.0]), np.array([[1.16]]))
        assert found == pytest.approx(np.array([[sign * 100 * (12 / 116 - 0.05)]]))


def test_the_damper_by_hand():
    # Two ranges beyond the first: 200 are let go of a gain as of a loss; within the range nothing is.
    pnl = np.array([[-500.0, 500.0, -150.0, -500.0, -500.0]])
    found = damped(pnl, np.array([3.0, -3.0, 3.0, 1.0, -0.5]), 100.0)
    assert found.tolist() == [[-300.0, 300.0, 0.0, -500.0, -500.0]]


@given(st.lists(amounts, min_size=1, max_size=5), st.floats(-30.0, 30.0), st.floats(0.0, 1e6))
def test_the_damper_changes_no_sign_and_enlarges_nothing(pnl, multiple, amount):
    before = np.array([pnl])
    after = damped(before, np.full(len(pnl), multiple), amount)
    assert (np.abs(after) <= np.abs(before)).all()
    assert (after * before >= 0.0).all()
