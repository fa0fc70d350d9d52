"""The columns that the kernels of revaluation read, from the arrays of `cpu_reference.types`, and their uploads.

Everything here is per instrument, maturity or fit, never per scenario.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.chebyshev import monomials
from cpu_reference.premium import Premium
from cpu_reference.revalue import Prepared
from cpu_reference.smile import smile_variance
from cpu_reference.types import F8, FUTURE, I8, OPTION, SPOT, Bool, Instruments, Market, Smile
from gpu_var.cuda.device import Device

TILE_ROWS = 64
"""Rows of a block's tile at most; the kernels' constant of the same name."""

EUROPEAN_ROWS = 32
"""Rows of a tile of European options: a few more blocks, for their threads take several scenarios each."""

ROW_COLUMNS = 11
"""Columns of the kernels' table of rows."""

ROOM = 1024
"""Segments of a smile that fit into shared memory; a longer one is read from global memory."""

CASH, MARGINED, INVERSE, CALL_EXPIRED, PUT_EXPIRED = range(5)
"""The kernels' `LinearCode`."""

_EXACT_POWERS = 2.0
"""Sum of the coefficients' magnitudes up to which powers are exact enough in float; else Chebyshev polynomials."""


class Fits(NamedTuple):
    """The premiums' polynomials on the device; see `revalue_american` in kernels/revalue.cu."""

    terms: Any  # int32 (n_fits, 4)
    ranges: Any  # float64 (n_fits, 3)
    common: Any  # real: coefficients that all scenarios share
    place: Any  # int64 (n_fits,): in `common`, or among the coefficients that differ by scenario
    own: list["OwnFit"]
    own_coefficients: int  # of all `own`


class OwnFit(NamedTuple):
    """A premium whose polynomials differ by scenario."""

    place: int
    coefficients: Any  # float64 (n_coefficients, n_nodes)
    node: Any | None  # int64 (n_scenarios,)
    weights: Any | None  # float64 (n_scenarios, n_nodes)


@dataclass(frozen=True)
class Tables:
    """A tile of instruments as the kernels read it; device arrays unless said otherwise."""

    n_rows: int
    rows: Any  # real (ROW_COLUMNS, n)
    maturities: Any  # float64 (5, n_maturities)
    n_maturities: int
    segment_start: Any  # int32 (n_maturities + 1,)
    segments: Any  # real (4, n_segments)
    n_segments: int
    room: int
    linear: Any  # int32 (n_linear, 3)
    linear_columns: Any  # float64 (3, n_linear)
    european: Any  # int32 (n_tiles, 6)
    american: dict[bool, Any]  # Chebyshev polynomials or powers -> int32 (n_tiles, 6)
    fits: Fits
    direct: list[tuple[slice, tuple[int, int], Premium]]  # American rows with scenarios that have no fit
    n_scenarios: int | None  # of the fits
    sources: tuple[Any, ...]  # what the tables were made of, kept alive


def tables(device: Device, instruments: Instruments, market: Market, prepared: Prepared, real: npt.DTypeLike) -> Tables:
    """Lay out and upload what a tile of instruments needs.

    Args:
        instruments: (n,) columns.
        market: the underlying's market today.
        prepared: of the same instruments, `price` cut to the same rows.
        real: float64 or float32.
    """
    n = len(instruments.kind)
    years = market.horizon.years
    m = instruments.maturity
    live = np.zeros(n, dtype=np.bool_)
    dated = m >= 0
    live[dated] = years[m[dated]] > 0
    option = live & (instruments.kind == OPTION)
    early = _early(instruments, option, prepared)
    rows, moving = _rows(instruments, market, prepared.price, option)
    tiles, fit = _tiles(instruments, option, early, moving, rows[0])
    keys = list(dict.fromkeys((int(m[t]), int(instruments.sign[t])) for t in tiles[early[tiles[:, 0]], 0]))
    tiles[fit, 5] = [keys.index((int(t[2]), int(t[3]))) for t in tiles[fit]]
    premiums = [prepared.premium[key] for key in keys]
    chebyshev = np.array([_chebyshev(premium, real) for premium in premiums], dtype=np.bool_)
    with_fit, without = tiles[fit], tiles[~fit]
    american = {}
    for basis in (False, True):
        chosen = with_fit[chebyshev[with_fit[:, 5]] == basis] if premiums else with_fit
        if len(chosen):
            american[basis] = device.upload(chosen)

    start, segments = _segments(market.smile_horizon)
    longest = int(np.diff(start).max(initial=1))
    linear = np.flatnonzero(~option)
    direct = []
    for key, premium in zip(keys, premiums, strict=True):
        if premium.direct.any():
            at = np.flatnonzero(early & (m == key[0]) & (instruments.sign == key[1]))
            direct += [(slice(int(r[0]), int(r[-1]) + 1), key, premium) for r in _consecutive(at)]
    table, columns = _linear(instruments, prepared.price, live, linear)
    return Tables(
        n_rows=n,
        rows=device.upload(_pair(rows, real)),
        maturities=device.upload(_maturities(market)),
        n_maturities=len(years),
        segment_start=device.upload(start),
        segments=device.upload(segments.astype(real)),
        n_segments=segments.shape[1],
        room=min(longest, ROOM),
        linear=device.upload(table),
        linear_columns=device.upload(columns),
        european=device.upload(without),
        american=american,
        fits=_fits(device, premiums, chebyshev, real),
        direct=direct,
        n_scenarios=len(premiums[0].direct) if premiums else None,
        sources=(instruments, market, prepared),
    )


def _early(instruments: Instruments, option: Bool, prepared: Prepared) -> Bool:
    """(n,) whether an early-exercise premium was fitted."""
    out = option & instruments.american
    if out.any():
        width = 3 * (int(instruments.maturity.max()) + 1)
        fitted = [3 * m + sign + 1 for m, sign in prepared.premium if 3 * m + sign + 1 < width]
        out[out] = np.isin(3 * instruments.maturity[out] + instruments.sign[out] + 1, fitted)
    return out


def _rows(instruments: Instruments, market: Market, price: F8, option: Bool) -> tuple[F8, Bool]:
    """The kernels' `RowColumn`s (ROW_COLUMNS, n) in float64, and (n,) whether volatility moves along the smile."""
    rows = np.zeros((ROW_COLUMNS, len(option)))
    m, strike, sign = instruments.maturity[option], instruments.strike[option], instruments.sign[option]
    today = market.today
    base = market.horizon.forward[m]
    with np.errstate(all="ignore"):  # a result that is not finite is found, and named, where cells are measured
        moneyness = strike - base if market.normal else np.log(strike / base)
        vol = instruments.vol[option].copy()
        if market.sticky_strike:
            ask = np.isnan(vol)
            vol[ask] = np.sqrt(smile_variance(market.smile_horizon, m[ask], moneyness[ask]))
        unit = np.exp(-today.rate[m] * today.years[m]) * market.fx
        forward_value = sign * (today.forward[m] - strike) * unit
        before = price[option] * market.fx
        rows[:, option] = (
            moneyness,
            np.zeros(len(m)),
            strike,
            vol,
            1.0 / vol,
            2.0 * np.log(vol),
            forward_value,
            before - np.maximum(forward_value, 0.0),
            instruments.multiplier[option],
            sign * (market.spot - strike) * market.fx - before,
            -before,
        )
    moving = option.copy()
    moving[option] = np.isnan(vol)
    return rows, moving


def _pair(rows: F8, real: npt.DTypeLike) -> npt.NDArray[Any]:
    """The table in its type; what float loses of moneyness stands in a column of its own."""
    out = rows.astype(real)
    out[1] = rows[0] - out[0]
    return out


def _tiles(
    instruments: Instruments, option: Bool, early: Bool, moving: Bool, moneyness: F8
) -> tuple[npt.NDArray[np.int32], Bool]:
    """The kernels' `TileColumn`s (n_tiles, 6), and which tiles have a fit: runs of one group, moneyness ascending."""
    n = len(option)
    change = np.ones(n, dtype=np.bool_)
    if n:
        change[1:] = moving[1:] & (moneyness[1:] < moneyness[:-1])
        for key in (option, instruments.maturity, instruments.sign, early, moving):
            change[1:] |= key[1:] != key[:-1]
    begin = np.flatnonzero(change)
    count = np.diff(np.append(begin, n))
    begin, count = begin[option[begin]], count[option[begin]]
    height = np.where(early[begin], TILE_ROWS, EUROPEAN_ROWS)
    pieces = -(-count // height)
    height = np.repeat(height, pieces)
    part = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = np.repeat(begin, pieces) + part * height
    size = np.minimum(np.repeat(begin + count, pieces) - first, height)
    columns = (first, size, instruments.maturity[first], instruments.sign[first], moving[first], np.zeros_like(first))
    return np.stack(columns, axis=1).astype(np.int32).reshape(-1, 6), early[first]


def _consecutive(at: I8) -> list[I8]:
    return np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)


def _maturities(market: Market) -> F8:
    """The kernels' `MaturityColumn`s (5, n_maturities)."""
    today, horizon = market.today, market.horizon
    with np.errstate(all="ignore"):
        return np.stack(
            [
                horizon.years,
                np.sqrt(horizon.years),
                horizon.forward,
                today.forward,
                np.exp(-today.rate * today.years) * market.fx,
            ]
        )


def _segments(smile: Smile) -> tuple[npt.NDArray[np.int32], F8]:
    """Where each maturity's segments start, and their left knots and coefficients (4, n_segments)."""
    n_maturities = len(smile.start) - 1
    start = smile.start + np.arange(n_maturities + 1)
    left = np.zeros(len(smile.segment))
    first = np.zeros(len(left), dtype=np.bool_)
    first[start[:-1]] = True
    left[~first] = smile.knot
    return start.astype(np.int32), np.concatenate([left[None], smile.segment.T])


def _linear(instruments: Instruments, price: F8, live: Bool, at: I8) -> tuple[npt.NDArray[np.int32], F8]:
    """(n, 3) row, maturity (−1: at spot) and `LinearCode`; (3, n) price today, strike and multiplier."""
    kind, inverse, sign = instruments.kind[at], instruments.inverse[at], instruments.sign[at]
    code = np.where(kind == SPOT, CASH, np.where(inverse, INVERSE, MARGINED))
    code = np.where(kind == OPTION, np.where(sign > 0, CALL_EXPIRED, PUT_EXPIRED), code)
    forward = np.where(live[at] & (kind == FUTURE), instruments.maturity[at], -1)
    table = np.stack([at, forward, code], axis=1).astype(np.int32)
    return table, np.stack([price[at], instruments.strike[at], instruments.multiplier[at]])


def _chebyshev(premium: Premium, real: npt.DTypeLike) -> bool:
    """Whether to sum Chebyshev polynomials: where powers would lose digits."""
    if np.dtype(real) == np.float64:
        return not premium.powers
    if not premium.powers:
        return True
    sizes = np.abs(premium.surface).sum(axis=(0, 1)), np.abs(premium.boundary[:, 1:]).sum(axis=0)
    size = max(float(a.max(initial=0.0)) for a in sizes)  # node 0's boundary is far away, and exact
    return bool(size > _EXACT_POWERS)


def _coefficients(premium: Premium, chebyshev: bool) -> F8:
    """(n_coefficients, n_nodes) in the kernels' order: ln B, then P by powers of y, each from the highest down."""
    boundary, surface = premium.boundary, premium.surface
    d, m, _ = surface.shape
    if chebyshev:
        surface = np.asarray(np.linalg.solve(monomials(d), surface.reshape(d, -1)).reshape(surface.shape))
        if premium.powers:
            boundary = np.asarray(np.linalg.solve(monomials(len(boundary)), boundary))
            surface = np.einsum("ab,dbn->dan", np.linalg.inv(monomials(m)), surface)
    n_nodes = boundary.shape[1]
    return np.ascontiguousarray(np.concatenate([boundary[::-1], surface[::-1, ::-1].reshape(-1, n_nodes)]))


def _fits(device: Device, premiums: list[Premium], chebyshev: Bool, real: npt.DTypeLike) -> Fits:
    terms = np.zeros((len(premiums), 4), dtype=np.int32)
    ranges = np.zeros((len(premiums), 3))
    place = np.zeros(len(premiums), dtype=np.int64)
    common: list[F8] = [np.zeros(1)]
    own = []
    n_own = 0
    for i, premium in enumerate(premiums):
        coefficients = _coefficients(premium, bool(chebyshev[i]))
        same = premium.weights is None and bool((premium.node == premium.node[:1]).all())
        d, m = premium.surface.shape[:2]
        terms[i] = len(premium.boundary), m, d, not same
        span = np.log(premium.vol_high / premium.vol_low)
        ranges[i] = 2 / span if span > 0 else 0.0, np.log(premium.vol_low), 2 / premium.z_max
        if same:
            place[i] = sum(map(len, common))
            common.append(coefficients[:, premium.node[0] if len(premium.node) else 0])
            continue
        node = device.upload(premium.node.astype(np.int64)) if premium.weights is None else None
        weights = None if premium.weights is None else device.upload(premium.weights)
        own.append(OwnFit(n_own, device.upload(coefficients), node, weights))
        place[i] = n_own
        n_own += len(coefficients)
    return Fits(
        device.upload(terms),
        device.upload(ranges),
        device.upload(np.concatenate(common).astype(real)),
        device.upload(place),
        own,
        n_own,
    )
