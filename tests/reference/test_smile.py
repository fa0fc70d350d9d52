"""The smile of a tile, read along sorted steps, against the smile read point by point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpu_reference.smile import smile_variance, smile_variance_along, smile_variance_ranges
from cpu_reference.types import Smile


def linear_smile(nodes: list[tuple[np.ndarray, np.ndarray]]) -> Smile:
    """One slice a maturity, iv linear between its nodes."""
    start, knots, segments = [0], [], []
    for k, v in nodes:
        slope = np.concatenate([[0.0], np.diff(v) / np.diff(k), [0.0]])
        level = np.concatenate([v[:1], v])
        knots.append(k)
        segments.append(np.stack([level**2, 2 * level * slope, slope**2], axis=1))
        start.append(start[-1] + len(k))
    return Smile(np.array(start), np.concatenate(knots), np.concatenate(segments))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 20), st.integers(1, 40))
def test_along_equals_pointwise(seed: int, n_knots: int, n: int, s: int) -> None:
    rng = np.random.default_rng(seed)
    smile = linear_smile([(np.sort(rng.normal(size=n)), rng.uniform(0.1, 2.0, n)) for n in (n_knots, 3)])
    moneyness = rng.normal(size=n) * 1.5
    # Some elements exactly on a knot.
    moneyness[: n // 3] = rng.choice(smile.knot, n // 3)
    step = np.sort(np.concatenate([rng.normal(size=s), [0.0]]))
    for m in (0, 1):
        out = np.full((n, s + 1), np.nan)
        smile_variance_along(smile, m, moneyness, step, out)
        points = (moneyness[:, None] + step).ravel()
        expected = smile_variance(smile, np.full(points.size, m), points).reshape(out.shape)
        # Two knots that all but coincide make a segment so steep that rounding of the moneyness shows.
        steepest = np.abs(smile.segment[smile.start[m] + m : smile.start[m + 1] + m + 1]).max()
        np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-14 * steepest)


def test_volatility_is_linear_between_nodes_and_flat_beyond() -> None:
    k, v = np.array([-0.5, 0.0, 0.5]), np.array([0.4, 0.3, 0.36])
    smile = linear_smile([(k, v)])
    at = np.array([-2.0, -0.5, -0.25, 0.0, 0.1, 0.5, 3.0])
    vol = np.sqrt(smile_variance(smile, np.zeros(len(at), dtype=np.intp), at))
    np.testing.assert_allclose(vol, np.interp(at, k, v), rtol=1e-15)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_points_of_many_maturities_find_their_segments(seed: int, n_knots: list[int]) -> None:
    """Against a search in each maturity's knots, at them too, and at what is no number or beyond all."""
    rng = np.random.default_rng(seed)
    knots = [np.sort(rng.normal(size=n)) for n in n_knots]
    start = np.cumsum([0, *n_knots])
    smile = Smile(start, np.concatenate(knots), rng.normal(size=(start[-1] + len(knots), 3)))
    m = rng.integers(0, len(knots), 60)
    some = np.concatenate(
        [rng.normal(size=40), rng.choice(np.append(smile.knot, 0.0), 16), [np.nan, np.inf, -np.inf, 0]]
    )
    for got, of, x in zip(smile_variance(smile, m, some), m.tolist(), some.tolist(), strict=True):
        below = int(np.searchsorted(knots[of], x, side="right"))
        c = smile.segment[start[of] + of + below]
        t = x - knots[of][below - 1] if below else 0.0
        np.testing.assert_array_equal(got, c[0] + t * (c[1] + t * c[2]))


def test_without_a_surface_the_volatility_is_not_a_number() -> None:
    smile = Smile(np.array([0, 0]), np.empty(0), np.array([[np.nan, 0.0, 0.0]]))
    out = np.zeros((2, 3))
    smile_variance_along(smile, 0, np.zeros(2), np.array([-1.0, 0.0, 1.0]), out)
    assert np.isnan(out).all()
    assert np.isnan(smile_variance(smile, np.zeros(1, dtype=np.intp), np.zeros(1)))[0]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_empty_tiles(shape: tuple[int, int]) -> None:
    smile = linear_smile([(np.array([0.0]), np.array([0.2]))])
    smile_variance_along(smile, 0, np.zeros(shape[0]), np.zeros(shape[1]), np.empty(shape))


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_ranges_hold_every_point_and_are_reached(seed: int, n_knots: list[int]) -> None:
    rng = np.random.default_rng(seed)
    knots = [np.sort(rng.normal(size=n)) for n in n_knots]
    # Two slices blended: a convex quadratic between knots, whose least value may lie inside a segment.
    slices = [linear_smile([(k, rng.uniform(0.01, 3.0, len(k))) for k in knots]) for _ in range(2)]
    smile = slices[0]._replace(segment=slices[0].segment + slices[1].segment)
    maturity = rng.integers(0, len(knots), 20)
    low, high = np.sort(rng.normal(size=(2, 20)) * 1.5, axis=0)
    low[:3] = [knots[m][0] for m in maturity[:3]]  # from a knot on
    high[:3] = np.maximum(low[:3], high[:3])
    high[2:5] = low[2:5]  # a single point, one of them a knot
    least, greatest = smile_variance_ranges(smile, maturity, low, high)
    for m, a, b, lowest, highest in zip(maturity, low, high, least, greatest, strict=True):
        edges = np.concatenate([[a], knots[m][(knots[m] > a) & (knots[m] < b)], [b]])
        points = np.linspace(edges[:-1], edges[1:], 1001).ravel()
        variance = smile_variance(smile, np.full(len(points), m), points)
        assert lowest <= variance.min() * (1 + 1e-12)
        assert highest >= variance.max() * (1 - 1e-12)
        assert lowest == pytest.approx(variance.min(), rel=1e-2)
        assert highest == pytest.approx(variance.max(), rel=1e-9)


def test_ranges_without_an_end_or_a_surface_are_no_numbers() -> None:
    there = linear_smile([(np.array([0.0, 1.0]), np.array([0.2, 0.3]))])
    empty = Smile(np.array([0, 2, 2]), there.knot, np.concatenate([there.segment, [[np.nan, 0.0, 0.0]]]))
    of, low, high = np.array([0, 0, 1]), np.array([np.nan, 0.0, 0.0]), np.array([1.0, np.nan, 1.0])
    least, greatest = smile_variance_ranges(empty, of, low, high)
    assert np.isnan(least).all()
    assert np.isnan(greatest).all()
