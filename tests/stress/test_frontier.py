"""Maps whose lines are known curves."""

import numpy as np
import pytest

from gpu_var.stress.frontier import frontier


def test_circles():
    """Layers exhausted outside circles of radius 1 and 2: closed lines, on the circles within 1/32 of the spacing."""

    def gaps(x, y):
        return np.stack([r - np.hypot(x, y) for r in (1.0, 2.0)])

    axis = np.linspace(-2.5, 2.5, 26)
    f = frontier(gaps, axis, axis)
    assert [layer for layer, _ in f.lines] == [0, 1]
    for (_, points), radius in zip(f.lines, (1.0, 2.0), strict=True):
        assert np.abs(np.hypot(*points.T) - radius).max() < 0.2 / 32
        assert points[0].tolist() == points[-1].tolist()
        assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() < 0.2 * np.sqrt(2)
        length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
        assert length == pytest.approx(2 * np.pi * radius, rel=0.02)
    x, y = np.meshgrid(axis, axis)
    far = np.hypot(x, y)
    assert (f.reached == (far >= 1.0).astype(int) + (far >= 2.0)).all()
    assert f.shortfall == pytest.approx(np.maximum(far - 1.0, 0.0))


def test_a_line_across_goes_from_edge_to_edge():
    f = frontier(lambda x, y: (1.0 - x - 0.3 * y)[None], np.linspace(0, 2, 11), np.linspace(-1, 1, 5))
    ((_, points),) = f.lines
    assert np.abs(points[:, 0] + 0.3 * points[:, 1] - 1.0).max() < 0.5 / 32
    assert {points[0, 1], points[-1, 1]} == {-1.0, 1.0}
    assert (np.diff(points[:, 1]) * np.sign(points[-1, 1] - points[0, 1]) >= 0).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_saddle_is_cut_at_its_broken_corners(sign):
    """xy > ½ breaks in two opposite corners of one square: two lines, that do not meet."""
    axis = np.array([-1.0, 1.0])
    f = frontier(lambda x, y: (0.5 - sign * x * y)[None], axis, axis)
    assert len(f.lines) == 2
    for _, points in f.lines:
        assert len(points) == 2
        middle = points.mean(axis=0)
        assert sign * middle[0] * middle[1] > 0  # around a broken corner


def test_nothing_breaks():
    f = frontier(lambda x, y: np.ones((3, len(x))) + 0.0 * y, np.arange(3.0), np.arange(4.0))
    assert f.lines == ()
    assert (f.reached == 0).all()
    assert f.shortfall.shape == (4, 3)


def test_each_round_is_one_call():
    calls = []

    def gaps(x, y):
        calls.append(len(x))
        return np.stack([r - np.hypot(x, y) for r in (1.0, 2.0)])

    axis = np.linspace(-2.5, 2.5, 21)
    frontier(gaps, axis, axis)
    assert len(calls) == 6
    assert calls[0] == 441
    assert len(set(calls[1:])) == 1
