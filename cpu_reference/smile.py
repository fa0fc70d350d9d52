"""Reading a volatility smile: one point an instrument, or along the scenarios of a whole tile."""

import numpy as np

from cpu_reference.types import F8, I8, Smile


def smile_variance(smile: Smile, maturity: I8, moneyness: F8) -> F8:
    """σ² at one moneyness an instrument.

    Args:
        smile: piecewise quadratics of the maturities.
        maturity: (n,) row of the smile's maturities.
        moneyness: (n,) ln(K/F), or K − F for normal dynamics.

    Returns:
        (n,) variance per year; NaN where there is no surface.
    """
    first = smile.start[maturity]
    knot = np.append(smile.knot, 0.0)  # the last is read, but not used
    # Bisection of all at once: `below` of a maturity's knots are passed, `left` more may be. NaN passes all.
    below, left = first.copy(), smile.start[maturity + 1] - first
    for _ in range(int(left.max(initial=0)).bit_length()):
        half = left >> 1
        passed = (left > 0) & ~(moneyness < knot[below + half])
        below = np.where(passed, below + half + 1, below)
        left = np.where(passed, left - half - 1, half)
    t = np.where(below > first, moneyness - knot[below - 1], 0.0)
    c0, c1, c2 = smile.segment[below + maturity].T
    return np.asarray(c0 + t * (c1 + t * c2))


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


def smile_variance_ranges(smile: Smile, maturity: I8, low: F8, high: F8) -> tuple[F8, F8]:
    """Least and greatest σ² at any moneyness from low to high, (n,) each.

    On a segment σ² is convex, so it is greatest at an end and least at an end or at the vertex between them.

    Args:
        maturity: (n,) row of the smile's maturities.
        low: (n,) least moneyness.
        high: (n,) greatest.

    Returns:
        NaN where an end is no number, or there is no surface.
    """
    count = np.diff(smile.start)[maturity] + 1
    begin = np.cumsum(count) - count
    of = np.repeat(np.arange(len(maturity)), count)
    # Of a segment in its maturity; the first has no left knot, the last no right one.
    place = np.arange(len(of)) - begin[of]
    right = smile.start[maturity[of]] + place
    knot = np.append(smile.knot, np.inf)
    left_knot = np.where(place > 0, knot[right - 1], -np.inf)
    right_knot = np.where(place < count[of] - 1, knot[right], np.inf)
    a, b = low[of], high[of]
    within = (a < right_knot) & ((left_knot <= a) | (left_knot < b))
    start = np.where(place > 0, np.maximum(a, left_knot) - left_knot, 0.0)
    end = np.where(place > 0, np.minimum(b, right_knot) - left_knot, 0.0)
    c0, c1, c2 = smile.segment[right + maturity[of]].T
    vertex = np.divide(-0.5 * c1, c2, out=start.copy(), where=c2 > 0.0)
    t = np.stack([start, end, np.clip(vertex, start, end)])
    variance = c0 + t * (c1 + t * c2)
    least = np.minimum.reduceat(np.where(within, variance.min(axis=0), np.inf), begin)
    greatest = np.maximum.reduceat(np.where(within, variance.max(axis=0), -np.inf), begin)
    known = low <= high
    return np.where(known, least, np.nan), np.where(known, greatest, np.nan)


def _maturity(smile: Smile, m: int) -> tuple[F8, F8]:
    begin, end = int(smile.start[m]), int(smile.start[m + 1])
    return smile.knot[begin:end], smile.segment[begin + m : end + m + 1]


def _beyond_first_knot(knot: F8, below: I8, moneyness: F8) -> F8:
    """Distance past the segment's left knot; 0 on the first segment, which is flat and has none."""
    if knot.size == 0:
        return np.zeros(np.broadcast_shapes(below.shape, moneyness.shape))
    left = knot[np.maximum(below - 1, 0)]
    return np.where(below > 0, moneyness - left, 0.0)
