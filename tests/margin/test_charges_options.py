"""Gamma, vega and the short option minimum: closed forms, full revaluation, hand-worked books, properties."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from margin.charge_books import measure, row
from scipy.stats import norm

from gpu_var.margin.second_order import (
    gamma,
    gamma_charge,
    minimum_charge,
    per_underlying,
    short_option_minimum,
    vega,
    vega_charge,
)
from gpu_var.market.charge_checks import check_options
from gpu_var.tables.findings import Findings

FHS = '[fhs]\nlookback = 300\nscaling = "none"\n'
OPTIONS = FHS + "[options]\ngamma_move = 0.15\nvega_points = 0.05\n[options.underlyings.B]\ngamma_move = 0.3\n"
SHORT_DATED, LONG_DATED = 30 / 365, 179 / 365  # A-call; B-call, N-put
ACCOUNTS = {
    "short-a": {"A-call": -3.0, "A": 12.0},
    "long-a": {"A-call": 3.0},
    "short-b": {"B-call": -2.0},
    "short-n": {"N-put": -4.0},
    "spread": {"A-call": 3.0, "B-call": -2.0},
    "stock": {"A": -5.0, "A-fut": 2.0},
}


def black_call(s: float, k: float, vol: float, years: float) -> float:
    d1 = np.log(s / k) / (vol * np.sqrt(years)) + 0.5 * vol * np.sqrt(years)
    return float(s * norm.cdf(d1) - k * norm.cdf(d1 - vol * np.sqrt(years)))


def black_gamma_vega(s: float, k: float, vol: float, years: float) -> tuple[float, float]:
    deviation = vol * np.sqrt(years)
    density = norm.pdf(np.log(s / k) / deviation + 0.5 * deviation)
    return float(density / (s * deviation)), float(s * density * np.sqrt(years))


@pytest.fixture(scope="module")
def m(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("options") / "book", OPTIONS, **ACCOUNTS)


def test_gamma_and_vega_are_the_closed_forms(m):
    a, b = black_gamma_vega(100, 105, 0.3, SHORT_DATED), black_gamma_vega(50, 55, 0.4, LONG_DATED)
    deviation = 5 * np.sqrt(LONG_DATED)
    density = norm.pdf((-2 + 4) / deviation)
    n = density / deviation, density * np.sqrt(LONG_DATED)  # Bachelier; its volatility is in price units
    want = {
        "short-a": (0.5 * 30 * a[0] * 15**2, 30 * a[1] * 0.05),
        "short-b": (0.5 * 20 * b[0] * 15**2 * 1.25, 20 * b[1] * 0.05 * 1.25),
        "short-n": (0.5 * 40 * n[0] * 0.15**2, 40 * n[1] * 0.05),
        "long-a": (0.0, 0.0),
        "stock": (0.0, 0.0),
    }
    # Long in one underlying is no relief for short in another.
    want["spread"] = want["short-b"]
    found = gamma(m), vega(m)
    for account, (by_gamma, by_vega) in want.items():
        at = row(m, account)
        assert found[0][at] == pytest.approx(by_gamma, rel=1e-9)
        assert found[1][at] == pytest.approx(by_vega, rel=1e-9)


@pytest.mark.parametrize("move", [0.002, -0.002])
def test_gamma_is_the_loss_of_a_hedged_short_option(move):
    # Revalued in full, delta-hedged: the loss of a small move either way, but for its third power.
    deviation = 0.3 * np.sqrt(SHORT_DATED)
    delta = norm.cdf(np.log(100 / 105) / deviation + 0.5 * deviation)
    before, after = (black_call(s, 105, 0.3, SHORT_DATED) for s in (100, 100 * (1 + move)))
    loss = after - before - delta * 100 * move
    g = black_gamma_vega(100, 105, 0.3, SHORT_DATED)[0]
    assert gamma_charge(np.array([-g]), np.array([100 * move]), np.ones(1))[0] == pytest.approx(loss, rel=0.03)


def test_vega_is_the_loss_of_a_rise_of_volatility():
    loss = black_call(100, 105, 0.3001, SHORT_DATED) - black_call(100, 105, 0.3, SHORT_DATED)
    v = black_gamma_vega(100, 105, 0.3, SHORT_DATED)[1]
    assert vega_charge(np.array([-v]), np.array([1e-4]), np.ones(1))[0] == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize(("basis", "units"), [("sum", 30 + 50), ("max", 50)])
def test_short_option_minimum_on_a_book(tmp_path, basis, units):
    # Long options and expired ones do not count; neither does the hedge.
    held = {"A-call": -3.0, "A-put": -5.0, "A-old": -100.0, "A-far": 4.0, "A": 30.0, "B-call": -2.0, "N-put": -1.0}
    table = f'[options]\nshort_minimum = 0.5\nshort_minimum_basis = "{basis}"\n'
    own = '[options.underlyings.B]\nshort_minimum = 0.1\nshort_minimum_basis = "max"\n'
    m = measure(tmp_path / "book", FHS + table + own, held=held, none={"A": 1.0}, big={"A-call": -0.1, "A": 9e4})
    minimum = units * 0.5 * 100 + 20 * 0.1 * 50 * 1.25 + 10 * 0.5
    found, core = short_option_minimum(m), m.core.amount
    at, big = row(m, "held"), row(m, "big")
    assert 0 < core[at] < minimum
    assert found[at] == pytest.approx(minimum - core[at], rel=1e-12)
    assert found[row(m, "none")] == 0
    assert core[big] > 1 * 0.5 * 100  # core is above the minimum, which then adds nothing
    assert found[big] == 0


def test_a_core_below_zero_counts_as_none(tmp_path):
    m = measure(tmp_path / "book", FHS + "[options]\nshort_minimum = 0.01\n", a={"A-call": -1.0})
    gains = replace(m, core=replace(m.core, amount=np.array([-7.0])))
    assert short_option_minimum(gains)[0] == pytest.approx(10 * 0.01 * 100)


@pytest.mark.parametrize(
    "text", ["", "[options]\n", "[options]\ngamma_move = 0\nvega_points = 0.0\nshort_minimum = 0\n"]
)
def test_off(tmp_path, text):
    m = measure(tmp_path / "book", FHS + text, **ACCOUNTS)
    assert gamma(m) is vega(m) is short_option_minimum(m) is None


def test_an_override_turns_one_underlying_on_or_off(tmp_path):
    text = FHS + "[options.underlyings.A]\nvega_points = 0.05\n[options.underlyings.N]\ngamma_move = 0.0\n"
    m = measure(tmp_path / "book", text, **ACCOUNTS)
    np.testing.assert_array_equal(per_underlying(m.book, m.config.options, "vega_points"), [0.05, 0.0, 0.0])
    found = vega(m)
    assert found[row(m, "short-a")] > 0
    assert found[row(m, "short-b")] == found[row(m, "short-n")] == 0
    assert gamma(m) is None


def test_names_that_are_no_underlyings(m):
    table = m.config.options
    far = table.model_copy(update={"underlyings": {"ELSEWHERE": table.underlyings["B"]}})
    np.testing.assert_array_equal(per_underlying(m.book, far, "gamma_move"), [0.15] * 3)
    findings = Findings()
    check_options(m.book, far, findings)
    check_options(m.book, table, findings)
    assert findings.notes == ["margin.toml: [options] names underlyings that the book does not have: ELSEWHERE"]
    assert findings.errors == []
    book = replace(m.book, underlyings=replace(m.book.underlyings, name=pa.array(["ETH-USD", "B", "N"])))
    wrong = table.model_copy(update={"underlyings": {"ETH-USB": table.underlyings["B"]}})
    check_options(book, wrong, findings)
    said = "'ETH-USB' is not in underlyings; the nearest one there is 'ETH-USD'"
    assert findings.errors == [f"margin.toml, key options.underlyings.ETH-USB: {said}"]


greek, positive = st.floats(-1e6, 1e6), st.floats(0, 1e3)


@given(greek, positive, positive, st.floats(0, 1))
def test_second_order_properties(value, parameter, fx, less):
    for charge in (gamma_charge, vega_charge):

        def of(value, parameter, charge=charge):
            return float(charge(np.array([value]), np.array([parameter]), np.array([fx]))[0])

        assert 0 <= of(value, parameter * less) <= of(value, parameter)
        assert of(value, 0.0) == of(abs(value), parameter) == 0
        assert of(2 * value, parameter) == pytest.approx(2 * of(value, parameter))


@given(positive, positive, positive, st.floats(0, 1))
def test_minimum_properties(calls, puts, rate, less):
    def minimum(rate, larger):
        return float(minimum_charge(*np.array([[calls], [puts], [rate]]), np.array([larger]))[0])

    # Of rates near the least number that there is, half of one is no number.
    assert 0 <= minimum(rate, True) <= minimum(rate, False) <= 2 * minimum(rate, True) * (1 + 1e-12) + 1e-300
    assert minimum(rate * less, False) <= minimum(rate, False)
    assert minimum(0.0, False) == 0
