"""The options of [antiprocyclicality], by hand and by their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_var.margin.cyclicality_metrics import largest_rise, metrics, peak_to_trough
from gpu_var.margin.procyclicality import buffer_left, countercyclical, with_buffer, with_floor, with_stress

amounts = st.floats(0.0, 1e9)
PATH = np.array([[100.0, 110.0, 99.0, 132.0, 66.0, 88.0]]).T


def one(value):
    return np.array([float(value)])


def test_the_buffer_runs_down_by_hand():
    ratio = np.array([0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 3.0])
    assert buffer_left(ratio, 0.25, 1.0, 2.0) == pytest.approx([0.25, 0.25, 0.1875, 0.125, 0.0625, 0.0, 0.0])
    # Long-run margin 100: 80 in calm asks for 80·1.25; 150 for 150·1.125; at 200 the buffer is exhausted.
    calculated = np.array([80.0, 100.0, 150.0, 200.0, 400.0])
    adjusted = with_buffer(calculated, np.full(5, 100.0), 0.25, 1.0, 2.0)
    assert adjusted == pytest.approx([100.0, 125.0, 168.75, 200.0, 400.0])


def test_without_a_long_run_level_the_buffer_is_exhausted():
    assert with_buffer(one(7), one(0), 0.25, 1.0, 2.0) == 7.0
    assert with_buffer(one(0), one(0), 0.25, 1.0, 2.0) == 0.0


@given(amounts, amounts, st.floats(1e-3, 1e9), st.floats(0.0, 0.99), st.floats(0.1, 10.0), st.floats(1.001, 20.0))
def test_a_buffered_margin_lies_between_and_rises_with_what_is_calculated(a, b, level, buffer, start, wider):
    low, high = sorted((a, b))
    end = start / (1.0 - buffer) * wider
    less, more = (with_buffer(one(m), one(level), buffer, start, end)[0] for m in (low, high))
    assert low <= less <= low * (1.0 + buffer) * (1 + 1e-12)
    assert less <= more * (1 + 1e-9)


def test_stressed_observations_by_hand():
    # 0.75·120 + 0.25·200, and a stress below what is calculated lowers the margin.
    assert with_stress(np.array([120.0, 120.0]), np.array([200.0, 80.0]), 0.25) == pytest.approx([140.0, 110.0])
    assert with_stress(one(120), one(200), 0.0) == 120.0
    assert with_stress(one(120), one(200), 1.0) == 200.0


@given(amounts, amounts)
def test_a_floor_never_lowers_a_margin(calculated, long_run):
    floored = with_floor(one(calculated), one(long_run))[0]
    assert floored >= calculated
    assert floored >= long_run
    assert floored in (calculated, long_run)


@given(st.lists(st.tuples(amounts, amounts), min_size=2, max_size=20), st.floats(0.0, 1.0), st.floats(0.01, 1.0))
def test_a_countercyclical_margin_is_over_its_floor_and_rises_no_faster_than_the_cap(path, share, rise):
    margin = max(path[0][0], share * path[0][1])
    for calculated, long_run in path[1:]:
        floor = share * long_run
        before, margin = margin, countercyclical(one(calculated), one(floor), one(margin), rise)[0]
        assert margin >= floor
        assert margin <= max(floor, before * (1.0 + rise))
        assert margin <= max(floor, calculated)
        if floor <= calculated <= before * (1.0 + rise):
            assert margin == calculated


def test_countercyclical_by_hand():
    # Floor 80, cap 5 % over 100: a calm 60 is lifted to 80, 103 passes, 140 is held at 105.
    margin = countercyclical(np.array([60.0, 103.0, 140.0]), np.full(3, 80.0), np.full(3, 100.0), 0.05)
    assert margin == pytest.approx([80.0, 103.0, 105.0])
    # The floor comes first where the two disagree.
    assert countercyclical(one(140), one(120), one(100), 0.05) == 120.0


def test_the_measures_of_a_path_by_hand():
    assert peak_to_trough(PATH) == pytest.approx([2.0])  # 132/66
    assert largest_rise(PATH, 1) == pytest.approx([1 / 3])  # 132/99 and 88/66
    assert largest_rise(PATH, 2) == pytest.approx([0.2])  # 132/110
    assert largest_rise(PATH, 3) == pytest.approx([0.32])  # 132/100
    assert largest_rise(PATH, 5) == pytest.approx([-0.12])  # 88/100: all that there is
    assert np.isnan(largest_rise(PATH, 6)).all()


def test_the_columns_of_a_path_with_a_date_in_five_rows():
    found = {name: float(values[0]) for name, values in metrics(PATH, 5).items()}
    assert np.isnan(found.pop("rise_1d"))
    assert np.isnan(found.pop("rise_30d"))  # six dates are 25 rows apart at most
    assert found == pytest.approx(
        {
            "first": 100.0,
            "last": 88.0,
            "trough": 66.0,
            "peak": 132.0,
            "mean": 99.16666666666667,
            "peak_to_trough": 2.0,
            "rise_5d": 1 / 3,
            "rise_20d": 88 / 110 - 1,
        }
    )


def test_what_has_no_measure_is_nan_not_infinite():
    zero, failed, idle = np.array([0.0, 5.0, 10.0]), np.array([1.0, np.nan, 2.0]), np.zeros(3)
    path = np.stack([zero, failed, idle], axis=1)
    assert np.isnan(peak_to_trough(path)).all()
    rise = largest_rise(path, 1)
    assert rise[0] == pytest.approx(1.0)  # 10 over 5; a rise from 0 has no measure
    assert np.isnan(rise[1:]).all()


@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=30))
def test_the_peak_bounds_every_rise(path):
    margin = np.array(path)[:, None]
    ratio = peak_to_trough(margin)[0]
    assert ratio >= 1.0
    for n in range(1, len(path)):
        rise = largest_rise(margin, n)[0]
        assert rise <= ratio - 1.0 + 1e-12
        assert rise == max(after / before - 1.0 for before, after in zip(path, path[n:], strict=False))
