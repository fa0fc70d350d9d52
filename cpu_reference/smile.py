"""Reading a volatility smile: one point an instrument, or along the scenarios of a whole tile."""

import numpy as np

from cpu_reference.types import F8, I8, Smile


def smile_variance(smile: Smile, maturity: I8, moneyness: F8) -> F8:
    """σ² at one moneyness an instrument.

    Args:
        smile: piecewise quadratics of the underlying's maturities.
        maturity: (n,) row of the smile's maturities.
        moneyness: (n,) ln(K/F), or K − F for normal dynamics.

    Returns:
        (n,) variance per year; NaN where the underlying has no surface.
    """
    out = np.empty(len(moneyness))
    for m in np.unique(maturity):
        at = maturity == m
        knot, segment = _maturity(smile, int(m))
        below = np.searchsorted(knot, moneyness[at], side="right")
        t = _beyond_first_knot(knot, below, moneyness[at])
        c = segment[below]
        out[at] = c[:, 0] + t * (c[:, 1] + t * c[:, 2])
    return out


def smile_variance_along(smile: Smile, maturity: int, moneyness: F8, step: F8, out: F8) -> None:
    """σ² of a tile: row i, column j at moneyness[i] + step[j], the steps ascending.

    Because the steps ascend, each row passes the smile's segments in order. So there is no search per element: a
    count per row and knot, and the coefficients, expanded around the row's own moneyness, are repeated.

    Args:
        maturity: the maturity that the tile's instruments share.
        moneyness: (n,) today's moneyness.
        step: (s,) ascending; what the scenario adds to moneyness (minus the forward's shock).
        out: (n, s) receives the variance per year.
    """
    knot, segment = _maturity(smile, maturity)
    if moneyness.size == 0 or step.size == 0:
        return
    # Only the knots that some element of the tile can pass.
    first = int(np.searchsorted(knot, moneyness.min() + step[0], side="right"))
    last = int(np.searchsorted(knot, moneyness.max() + step[-1], side="right"))
    passed = np.searchsorted(step, knot[first:last] - moneyness[:, None], side="left")
    bounds = np.empty((len(moneyness), last - first + 2), dtype=np.intp)
    bounds[:, 0], bounds[:, 1:-1], bounds[:, -1] = 0, passed, len(step)
    counts = np.diff(bounds, axis=1).ravel()

    c0, c1, c2 = segment[first : last + 1].T
    t = _beyond_first_knot(knot, np.arange(first, last + 1), moneyness[:, None])
    shape = out.shape
    np.copyto(out, np.repeat(np.broadcast_to(c2, t.shape).ravel(), counts).reshape(shape))
    out *= step
    out += np.repeat((c1 + 2.0 * c2 * t).ravel(), counts).reshape(shape)
    out *= step
    out += np.repeat((c0 + t * (c1 + t * c2)).ravel(), counts).reshape(shape)


def smile_variance_range(smile: Smile, maturity: int, low: float, high: float) -> tuple[float, float]:
    """Least and greatest σ² at any moneyness from low to high.

    On a segment σ² is convex, so it is greatest at an end and least at an end or at the vertex between them.
    """
    knot, segment = _maturity(smile, maturity)
    edge = np.concatenate([[low], knot[(knot > low) & (knot < high)], [high]])
    below = np.searchsorted(knot, edge[:-1], side="right")
    c0, c1, c2 = segment[below].T
    begin = _beyond_first_knot(knot, below, edge[:-1])
    end = _beyond_first_knot(knot, below, edge[1:])
    vertex = np.divide(-0.5 * c1, c2, out=begin.copy(), where=c2 > 0.0)
    t = np.stack([begin, end, np.clip(vertex, begin, end)])
    variance = c0 + t * (c1 + t * c2)
    return float(variance.min()), float(variance.max())


def _maturity(smile: Smile, m: int) -> tuple[F8, F8]:
    begin, end = int(smile.start[m]), int(smile.start[m + 1])
    return smile.knot[begin:end], smile.segment[begin + m : end + m + 1]


def _beyond_first_knot(knot: F8, below: I8, moneyness: F8) -> F8:
    """Distance past the segment's left knot; 0 on the first segment, which is flat and has none."""
    if knot.size == 0:
        return np.zeros(np.broadcast_shapes(below.shape, moneyness.shape))
    left = knot[np.maximum(below - 1, 0)]
    return np.where(below > 0, moneyness - left, 0.0)
