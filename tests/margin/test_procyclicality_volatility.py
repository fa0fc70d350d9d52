"""The volatilities of the reference look-back, and scenarios at another volatility than today's."""

import math
from itertools import pairwise
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from margin import cycle_books
from oracle import books
from oracle.files import write_book

from gpu_var.backend import load_backend
from gpu_var.market.checks import load
from gpu_var.scenarios import reference
from gpu_var.scenarios.fhs import historical
from gpu_var.scenarios.scaling import recorrelate

samples = st.lists(st.one_of(st.floats(-0.5, 0.5), st.just(math.nan)), min_size=2, max_size=40)


@given(samples, st.integers(2, 12))
def test_rolling_volatilities_against_a_loop(sample, length):
    column = np.array(sample)[:, None]
    known = [r for r in sample if not math.isnan(r)]
    whole = reference.long_run(column)[0]
    assert math.isnan(whole) if len(known) < 2 else whole == pytest.approx(stdev(known), rel=1e-9, abs=1e-8)
    size = min(length, len(sample))
    stretches = [[r for r in sample[at : at + size] if not math.isnan(r)] for at in range(len(sample) - size + 1)]
    highest = max((stdev(s) for s in stretches if len(s) > 1), default=math.nan)
    found = reference.most_stressed(column, length=length)[0]
    assert math.isnan(found) if math.isnan(highest) else found == pytest.approx(highest, rel=1e-9, abs=1e-8)


def test_the_absolute_estimate_is_of_mean_sizes():
    sample = np.array([[0.01], [-0.03], [np.nan], [0.02]])
    assert reference.long_run(sample, "absolute") == pytest.approx([math.sqrt(2) * 0.02])
    assert reference.most_stressed(sample, "absolute", 2) == pytest.approx([math.sqrt(2) * 0.02])


def sets(folder, scaling="full", toml="", **keys):
    fhs = {"lookback": 30, "decay": 0.9, "scaling": scaling, **keys}
    book, config, factors, _ = load(cycle_books.book(folder, toml=toml, fhs=fhs, holding_period_days=2))
    cpu = load_backend("cpu")
    base = historical(book, config, factors, cpu)
    return base, lambda target: reference.at_volatility(
        base, book, config, factors, cpu, np.array([target]), reference.LONG_RUN
    )


PRICES = cycle_books.levels(90)
SAMPLE = cycle_books.returns(PRICES)[-30:]
ROOT = math.sqrt(2)


@pytest.mark.parametrize(
    ("scaling", "move"),
    [
        ("full", lambda r, s, target: ROOT * r * target / s),
        ("mid", lambda r, s, target: ROOT * r * (target + s) / (2 * s)),
        ("none", lambda r, _, target: ROOT * r * target / cycle_books.deviation(SAMPLE)),
    ],
)
def test_scenarios_at_another_volatility(tmp_path, scaling, move):
    base, at = sets(tmp_path / "book", scaling)
    volatility, _ = cycle_books.filtered(SAMPLE, 0.9)
    found = at(0.04)
    assert found.model == "fhs.long_run"
    assert found.name == base.name
    assert found.shock[:, 0] == pytest.approx(
        [move(r, s, 0.04) for r, s in zip(SAMPLE, volatility, strict=True)], rel=1e-12
    )


@pytest.mark.parametrize("scaling", ["full", "mid", "none"])
@pytest.mark.parametrize("keys", [{}, {"horizon": "overlapping"}])
def test_at_the_volatility_that_they_have_nothing_changes(tmp_path, scaling, keys):
    base, at = sets(tmp_path / "book", scaling, **keys)
    _, forecast = cycle_books.filtered(SAMPLE, 0.9)
    own = cycle_books.deviation(SAMPLE) if scaling == "none" else forecast
    assert at(own).shock == pytest.approx(base.shock, rel=1e-12)
    assert at(math.nan).shock == pytest.approx(base.shock, rel=1e-15)
    assert at(own).samples == base.samples


def test_overlapping_scenarios_at_another_volatility(tmp_path):
    _, at = sets(tmp_path / "book", "mid", horizon="overlapping")
    volatility, _ = cycle_books.filtered(SAMPLE, 0.9)
    day = [r * (0.04 + s) / (2 * s) for r, s in zip(SAMPLE, volatility, strict=True)]
    assert at(0.04).shock[:, 0] == pytest.approx([a + b for a, b in pairwise(day)], rel=1e-12)


def test_the_floor_of_the_model_holds_at_another_volatility_too(tmp_path):
    _, at = sets(tmp_path / "book", toml='[fhs.volatility_floor]\n"spot:*" = 0.02\n')
    assert at(0.001).shock == pytest.approx(at(0.02).shock, rel=1e-14)
    assert np.abs(at(0.021).shock).max() > np.abs(at(0.02).shock).max()


def test_correlation_scaling_keeps_its_part_of_each_day(tmp_path):
    fhs = {"lookback": 30, "decay": 0.9, "scaling": "mid", "correlation_scaling": True, "correlation_shrinkage": 0.1}
    book, config, factors, _ = load(write_book(tmp_path / "book", books.crypto(), books.config(fhs=fhs)))
    cpu = load_backend("cpu")
    base = historical(book, config, factors, cpu)
    target = np.array([0.03, 0.05, 0.02])
    found = reference.at_volatility(base, book, config, factors, cpu, target, "other")
    levels = book.history.level[-31:, factors.column]
    returns = np.diff(np.log(levels), axis=0)
    volatility = cpu.filter_ewma(returns, 0.9)
    moved, _ = recorrelate(returns, volatility, 0.9, 0.1)
    assert found.shock == pytest.approx(moved * 0.5 * (target + volatility[:-1]), rel=1e-10, abs=1e-14)


def test_what_has_no_return_is_left_out(tmp_path):
    prices = [*PRICES]
    folder = cycle_books.book(tmp_path / "book", prices=prices)
    text = (folder / "history.csv").read_text().splitlines()
    text[11] = text[11].rpartition(",")[0] + ","  # null on the eleventh date: two returns fewer
    del text[20:40]  # twenty dates fewer, and the return over the gap is not used
    (folder / "history.csv").write_text("\n".join(text) + "\n")
    book, config, factors, _ = load(folder)
    found = reference.reference_returns(book, config, factors, 2500)
    assert len(found) == 69
    known = [0, 1, *range(2, 9), *range(11, 18)]
    wanted = [cycle_books.returns(PRICES)[i] for i in known] + cycle_books.returns(PRICES)[39:]
    assert found[~np.isnan(found)] == pytest.approx(wanted)
    assert "2,500 returns" in reference.shortfall(book, config, factors, 2500)
    assert "the 66 that there are of spot:X" in reference.shortfall(book, config, factors, 2500)
    assert reference.shortfall(book, config, factors, 50) is None
    # Look-backs of 30 returns are whole from thirty rows after the gap on.
    assert reference.first_row(book, config, factors) == 19 + 30
