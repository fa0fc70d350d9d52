"""From the nodes of a volatility surface to a smile at each maturity."""

from typing import NamedTuple

import numpy as np

from cpu_reference.types import Maturities, Smile
from gpu_var.market.curves import forward, open_nodes, years_to, zero_rate
from gpu_var.tables.book import F8, I8, Book

_NOWHERE = np.empty(0), np.array([[np.nan, 0.0, 0.0]])
"""Knots and segments where there is no volatility."""


def smile(book: Book, underlying: int, maturities: Maturities, as_of: int) -> Smile:
    """The surface of `underlying` read at `maturities`.

    Within a slice iv is linear in k = ln(K/F(T_slice)) (normal: K − F), flat beyond; between slices the total variance
    σ²T is linear in T at equal k; beyond the first and the last slice σ is flat. So at one maturity σ² is a quadratic
    of k between the knots of the two slices around it.
    """
    slices = _slices(book, underlying, as_of)
    own = _own_segments(slices)
    start, at_years = slices.start.tolist(), slices.years.tolist()
    after = np.searchsorted(slices.years, maturities.years).tolist()  # the first slice that is not before
    starts, knots, segments = [0], [], []
    for years, i in zip(maturities.years.tolist(), after, strict=True):
        last = min(i, len(at_years) - 1)
        if not at_years or years <= 0.0:
            knot, segment = _NOWHERE
        elif 0 < i == last and at_years[i] != years:
            share = (years - at_years[i - 1]) / (at_years[i] - at_years[i - 1])
            weights = (1.0 - share) * at_years[i - 1] / years, share * at_years[i] / years
            knot, segment = _merged([(weights[0], slices.of(i - 1)), (weights[1], slices.of(i))])
        elif own is None:
            knot, segment = _merged([(1.0, slices.of(last))])
        else:
            begin, end = start[last], start[last + 1]
            knot, segment = slices.moneyness[begin:end], own[begin + last : end + last + 1]
        starts.append(starts[-1] + len(knot))
        knots.append(knot)
        segments.append(segment)
    return Smile(
        np.array(starts, dtype=np.intp),
        np.concatenate([np.empty(0), *knots]),
        np.concatenate([np.empty((0, 3)), *segments]),
    )


class _Slices(NamedTuple):
    """The slices of a surface."""

    years: F8  # (n_slices,) > 0, ascending
    start: I8  # (n_slices + 1,) of each one's nodes
    moneyness: F8  # (n_nodes,)
    vol: F8  # (n_nodes,)

    def of(self, at: int) -> tuple[F8, F8]:
        """One slice's moneyness and volatility."""
        nodes = slice(self.start[at], self.start[at + 1])
        return self.moneyness[nodes], self.vol[nodes]


def _slices(book: Book, underlying: int, as_of: int) -> _Slices:
    rows = open_nodes(book.vols, underlying, as_of)
    expiry, strike, vol = book.vols.expiry[rows], book.vols.strike[rows], book.vols.value[rows]
    first = np.ones(len(expiry) + 1, dtype=np.bool_)
    np.not_equal(expiry[1:], expiry[:-1], out=first[1:-1])
    start = np.flatnonzero(first)
    years = years_to(expiry[start[:-1]], as_of)
    rate = zero_rate(book, int(book.underlyings.currency[underlying]), years, as_of)
    forwards = forward(book, underlying, years, rate, as_of).repeat(np.diff(start))
    moneyness = strike - forwards if book.underlyings.normal[underlying] else np.log(strike / forwards)
    return _Slices(years, start, moneyness, vol)


def _own_segments(slices: _Slices) -> F8 | None:
    """(n_nodes + n_slices, 3) the segments of each slice at its own maturity, as in `cpu_reference.types.Smile`.

    None where rounding leaves two nodes of a slice at one moneyness.
    """
    _, start, k, v = slices
    between = np.diff(k)
    between[start[1:-1] - 1] = 1.0  # of two slices: no slope
    if not (between > 0.0).all():
        return None
    head = start[:-1] + np.arange(len(start) - 1)
    inner = np.ones(len(k) + len(head), dtype=np.bool_)
    inner[head] = False
    level, slope, slopes = np.empty(len(inner)), np.zeros(len(inner)), np.zeros(len(k))
    level[head], level[inner] = v[start[:-1]], v
    slopes[:-1] = np.diff(v) / between
    slopes[start[1:] - 1] = 0.0
    slope[inner] = slopes
    return _squares(level, slope)


def _squares(level: F8, slope: F8) -> F8:
    """(n, 3) σ² of σ = level + slope·t, by powers of t."""
    return np.stack([level**2, 2.0 * level * slope, slope**2], axis=1)


def _merged(weighted: list[tuple[float, tuple[F8, F8]]]) -> tuple[F8, F8]:
    """Knots and segments of a weighted sum of slices' variances, over the knots of all."""
    knot = np.unique(np.concatenate([k for _, (k, _) in weighted]))
    segment = np.zeros((len(knot) + 1, 3))
    for weight, (k, v) in weighted:
        segment += weight * _squares(*_lines(k, v, knot))
    return knot, segment


def _lines(k: F8, v: F8, knot: F8) -> tuple[F8, F8]:
    """A slice's volatility at each segment's left knot, and its slope there: flat before the first and after the last.

    The slopes are the slice's own, not differences over the joint knots: two slices may all but share a knot.
    """
    with np.errstate(all="ignore"):  # no knot reads the slope between two nodes at one moneyness
        slopes = np.concatenate([[0.0], np.diff(v) / np.diff(k), [0.0]])
    slope = slopes[np.searchsorted(k, knot, side="right")]
    level = np.interp(knot, k, v)
    return np.concatenate([level[:1], level]), np.concatenate([[0.0], slope])
