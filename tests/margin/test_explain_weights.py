"""The weights of scenarios in a measure: those of cpu_reference.tail, and of nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cpu_reference
from cpu_reference.tail import tail, tail_size
from gpu_var.margin.contributions import tail_weights
from gpu_var.scenarios.model import measures

LEVELS = [0.5, 0.6, 0.9, 0.95, 0.975, 0.99, 0.997, 0.9999]


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from(LEVELS), st.sampled_from(["es", "var", "worst"]))
def test_the_weighted_losses_are_the_measure(seed, n, level, measure):
    losses = np.round(np.random.default_rng(seed).standard_t(3, n), 1 if seed % 2 else 12)  # rounding makes ties
    weight = tail_weights(losses, level, measure)
    assert weight.min() >= 0.0
    assert weight.sum() == pytest.approx(1.0, rel=1e-14)
    assert np.count_nonzero(weight) == (max(1, int(np.ceil(tail_size(n, level)))) if measure == "es" else 1)
    expected = getattr(tail(losses[None], level), measure)[0]
    assert weight @ losses == pytest.approx(expected, rel=1e-13, abs=1e-13)


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.sampled_from(LEVELS), st.sampled_from(["es", "var", "worst"]))
def test_of_overlapping_windows_each_sub_sample_has_its_tail(seed, samples, level, measure):
    losses = np.round(np.random.default_rng(seed).standard_normal(samples * 9 + 1), 2)
    expected = getattr(measures(cpu_reference, losses[None], samples, level), measure)[0]
    weight = tail_weights(losses, level, measure, samples)
    assert weight.sum() == pytest.approx(1.0, rel=1e-14)
    assert weight @ losses == pytest.approx(expected, rel=1e-13, abs=1e-13)


def test_five_scenarios_by_hand():
    """N = 5 at level 0.5: n = 2.5, so the two worst weigh 1/2.5 each and the third what is missing to 1."""
    losses = np.array([1.0, 5.0, 3.0, 4.0, 2.0])
    assert tail_weights(losses, 0.5, "es").tolist() == pytest.approx([0.0, 0.4, 0.2, 0.4, 0.0])
    assert tail_weights(losses, 0.5, "var").tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert tail_weights(losses, 0.5, "worst").tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_of_equal_losses_the_first_comes_first():
    losses = np.array([2.0, 7.0, 2.0, 7.0, 2.0])
    assert tail_weights(losses, 0.5, "es").tolist() == pytest.approx([0.2, 0.4, 0.0, 0.4, 0.0])
    assert tail_weights(losses, 0.5, "worst").tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert tail_weights(np.zeros(5), 0.5, "var").tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_where_the_tail_is_less_than_a_scenario_the_worst_is_all():
    losses = np.array([1.0, 3.0, 2.0])
    for measure in ("es", "var", "worst"):
        assert tail_weights(losses, 0.99, measure).tolist() == [0.0, 1.0, 0.0]
