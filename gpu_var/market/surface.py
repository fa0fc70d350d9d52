"""From the nodes of a volatility surface to a smile at each maturity."""

import numpy as np

from cpu_reference.types import Maturities, Smile
from gpu_var.market.curves import forward, open_nodes, years_to, zero_rate
from gpu_var.tables.book import F8, Book


def smile(book: Book, underlying: int, maturities: Maturities, as_of: int) -> Smile:
    """The surface of `underlying` read at `maturities`.

    Within a slice iv is linear in k = ln(K/F(T_slice)) (normal: K − F), flat beyond; between slices the total variance
    σ²T is linear in T at equal k; beyond the first and the last slice σ is flat. So at one maturity σ² is a quadratic
    of k between the knots of the two slices around it.
    """
    slices = _slices(book, underlying, as_of)
    starts, knots, segments = [0], [], []
    for years in maturities.years:
        knot, segment = _at(slices, float(years))
        starts.append(starts[-1] + len(knot))
        knots.append(knot)
        segments.append(segment)
    return Smile(
        np.array(starts, dtype=np.intp),
        np.concatenate([np.empty(0), *knots]),
        np.concatenate([np.empty((0, 3)), *segments]),
    )


Slice = tuple[float, F8, F8]
"""Years, moneyness and volatility of its nodes."""


def _slices(book: Book, underlying: int, as_of: int) -> list[Slice]:
    rows = open_nodes(book.vols, underlying, as_of)
    if rows.start == rows.stop:
        return []
    expiry, strike, iv = book.vols.expiry[rows], book.vols.strike[rows], book.vols.value[rows]
    expiries, begin = np.unique(expiry, return_index=True)
    years = years_to(expiries, as_of)
    rate = zero_rate(book, int(book.underlyings.currency[underlying]), years, as_of)
    forwards = forward(book, underlying, years, rate, as_of)
    at = np.repeat(forwards, np.diff([*begin, len(expiry)]))
    moneyness = strike - at if book.underlyings.normal[underlying] else np.log(strike / at)
    return [
        (float(t), k, v) for t, k, v in zip(years, np.split(moneyness, begin[1:]), np.split(iv, begin[1:]), strict=True)
    ]


def _at(slices: list[Slice], years: float) -> tuple[F8, F8]:
    """Knots and segments (see `cpu_reference.types.Smile`) at one maturity."""
    if not slices or years <= 0.0:
        return np.empty(0), np.array([[np.nan, 0.0, 0.0]])
    after = next((i for i, (t, _, _) in enumerate(slices) if t >= years), len(slices))
    if after == 0 or after == len(slices) or slices[after][0] == years:
        weighted = [(1.0, slices[min(after, len(slices) - 1)])]
    else:
        early, late = slices[after - 1], slices[after]
        share = (years - early[0]) / (late[0] - early[0])
        weighted = [((1.0 - share) * early[0] / years, early), (share * late[0] / years, late)]
    knot = np.unique(np.concatenate([k for _, (_, k, _) in weighted]))
    segment = np.zeros((len(knot) + 1, 3))
    for weight, (_, k, v) in weighted:
        level, slope = _lines(k, v, knot)
        segment += weight * np.stack([level**2, 2.0 * level * slope, slope**2], axis=1)
    return knot, segment


def _lines(k: F8, v: F8, knot: F8) -> tuple[F8, F8]:
    """A slice's volatility at each segment's left knot, and its slope there: flat before the first and after the last.

    The slopes are the slice's own, not differences over the joint knots: two slices may all but share a knot.
    """
    slopes = np.concatenate([[0.0], np.diff(v) / np.diff(k), [0.0]])
    slope = slopes[np.searchsorted(k, knot, side="right")]
    level = np.interp(knot, k, v)
    return np.concatenate([level[:1], level]), np.concatenate([[0.0], slope])
