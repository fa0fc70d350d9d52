"""The columns that the kernels of revaluation read, from the arrays of `cpu_reference.types`, and their uploads.

Everything here is per instrument, maturity or fit, never per scenario.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.premium import Premium
from cpu_reference.revalue import Prepared
from cpu_reference.smile import smile_variance
from cpu_reference.types import F8, FUTURE, I8, OPTION, SPOT, Bool, Instruments, Market, Smile
from gpu_var.cuda.device import Device
from gpu_var.cuda.revalue_fits import OwnFit, chebyshev_sums, fits_on_device, places

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


class Tile(NamedTuple):
    """What is launched for a tile of the engine; parts of device arrays, rows counted within the tile."""

    rows: Any  # real: the table of rows, from the tile's first
    linear: Any  # int32 (n_linear, 3)
    linear_columns: Any  # float64, flat (3, n_linear)
    european: Any  # int32 (n_tiles, 6)
    american: dict[bool, Any]  # Chebyshev polynomials or powers -> int32 (n_tiles, 6)
    place: Any  # int64 (n_fits,): in `Tables.common`, or among the coefficients that differ by scenario
    own: list[tuple[int, OwnFit]]  # those of the tile's fits, each with its place
    own_coefficients: int  # of all `own`
    direct: list[tuple[slice, tuple[int, int], Premium]]  # American rows, of the whole, with scenarios without a fit


@dataclass(frozen=True)
class Tables:
    """An underlying's instruments as the kernels read them; device arrays unless said otherwise."""

    height: int  # instruments of a tile
    tiles: list[Tile]
    n_rows: int
    maturities: Any  # float64 (5, n_maturities)
    n_maturities: int
    segment_start: Any  # int32 (n_maturities + 1,)
    segments: Any  # real (4, n_segments)
    n_segments: int
    room: int
    terms: Any  # int32 (n_fits, 4): see `revalue_american` in kernels/revalue.cu, as for the next two
    ranges: Any  # float64 (n_fits, 3)
    common: Any  # real: coefficients that all scenarios share
    n_scenarios: int | None  # of the fits
    sources: tuple[Any, ...]  # what the tables were made of, kept alive


def tables(
    device: Device, instruments: Instruments, market: Market, prepared: Prepared, real: npt.DTypeLike, height: int
) -> Tables:
    """Lay out and upload what an underlying's instruments need.

    Args:
        instruments: (n,) columns.
        market: the underlying's market today.
        prepared: of the same instruments.
        real: float64 or float32.
        height: instruments of a tile, between two aggregations.
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
    groups, fit = _tiles(instruments, option, early, moving, rows[0], height)
    codes, groups[fit, 5] = np.unique(3 * groups[fit, 2] + groups[fit, 3] + 1, return_inverse=True)
    keys = [(code // 3, code % 3 - 1) for code in codes.tolist()]
    premiums = [prepared.premium[key] for key in keys]
    chebyshev = np.array([chebyshev_sums(premium, real) for premium in premiums], dtype=np.bool_)
    basis = np.where(fit, chebyshev[groups[:, 5]] if premiums else False, False)

    n_tiles = -(-n // height)
    terms, ranges, common, place, own = fits_on_device(device, premiums, chebyshev, real)
    used = np.zeros((n_tiles, len(premiums)), dtype=np.bool_)
    used[groups[fit, 0] // height, groups[fit, 5]] = True
    of_tiles, mixed = places(place, own, used)
    uploaded_places = device.upload(of_tiles)
    linear, columns, linear_edges = _linear(instruments, prepared.price, live, np.flatnonzero(~option), height)
    uploaded_linear, uploaded_columns = device.upload(linear), device.upload(columns)
    parts = {
        name: _parts(device, groups[chosen], n_tiles, height)
        for name, chosen in ((None, ~fit), (False, fit & ~basis), (True, fit & basis))
    }
    table = device.upload(_pair(rows, real)).reshape(-1)
    direct = _direct(instruments, early, dict(zip(keys, premiums, strict=True)), n_tiles, height)
    start, segments = _segments(market.smile_horizon)
    longest = int(np.diff(start).max(initial=1))
    return Tables(
        height=height,
        tiles=[
            Tile(
                rows=table[t * height :],
                linear=uploaded_linear[begin:end],
                linear_columns=uploaded_columns[3 * begin : 3 * end],
                european=parts[None][t],
                american={b: parts[b][t] for b in (False, True) if len(parts[b][t])},
                place=uploaded_places[t],
                own=mixed[t],
                own_coefficients=sum(len(one.coefficients) for _, one in mixed[t]),
                direct=direct[t],
            )
            for t, (begin, end) in enumerate(pairwise(linear_edges))
        ],
        n_rows=n,
        maturities=device.upload(_maturities(market)),
        n_maturities=len(years),
        segment_start=device.upload(start),
        segments=device.upload(segments.astype(real)),
        n_segments=segments.shape[1],
        room=min(longest, ROOM),
        terms=device.upload(terms),
        ranges=device.upload(ranges),
        common=device.upload(common),
        n_scenarios=len(premiums[0].direct) if premiums else None,
        sources=(instruments, market, prepared),
    )


def _edges(first: npt.NDArray[np.integer], n_tiles: int, height: int) -> list[int]:
    """Where those of each tile begin, of things that begin at these rows, ascending; and their number."""
    return [int(e) for e in np.searchsorted(first, np.arange(n_tiles + 1) * height)]


def _parts(device: Device, groups: npt.NDArray[np.int32], n_tiles: int, height: int) -> list[Any]:
    """The kernels' tiles of each tile of the engine, on the device, rows counted within it."""
    edges = _edges(groups[:, 0], n_tiles, height)
    groups[:, 0] %= height
    uploaded = device.upload(groups)
    return [uploaded[begin:end] for begin, end in pairwise(edges)]


def _direct(
    instruments: Instruments, early: Bool, premiums: dict[tuple[int, int], Premium], n_tiles: int, height: int
) -> list[list[tuple[slice, tuple[int, int], Premium]]]:
    """Runs of American rows with scenarios that have no fit, by tile."""
    out: list[list[tuple[slice, tuple[int, int], Premium]]] = [[] for _ in range(n_tiles)]
    for (m, sign), premium in premiums.items():
        if premium.direct.any():
            at = np.flatnonzero(early & (instruments.maturity == m) & (instruments.sign == sign))
            cut = np.flatnonzero((np.diff(at) > 1) | (np.diff(at // height) > 0)) + 1
            for run in np.split(at, cut):
                out[int(run[0]) // height].append((slice(int(run[0]), int(run[-1]) + 1), (m, sign), premium))
    return out


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
    at = slice(None) if option.all() else option
    m, strike, sign = instruments.maturity[at], instruments.strike[at], instruments.sign[at]
    today = market.today
    base = market.horizon.forward[m]
    with np.errstate(all="ignore"):  # a result that is not finite is found, and named, where cells are measured
        moneyness = strike - base if market.normal else np.log(strike / base)
        vol = instruments.vol[at].copy()
        if market.sticky_strike:
            ask = np.isnan(vol)
            vol[ask] = np.sqrt(smile_variance(market.smile_horizon, m[ask], moneyness[ask]))
        unit = np.exp(-today.rate[m] * today.years[m]) * market.fx
        forward_value = sign * (today.forward[m] - strike) * unit
        before = price[at] * market.fx
        columns = (
            moneyness,
            0.0,
            strike,
            vol,
            1.0 / vol,
            2.0 * np.log(vol),
            forward_value,
            before - np.maximum(forward_value, 0.0),
            instruments.multiplier[at],
            sign * (market.spot - strike) * market.fx - before,
            -before,
        )
        for row, column in zip(rows, columns, strict=True):
            row[at] = column
    moving = option.copy()
    moving[option] = np.isnan(vol)
    return rows, moving


def _pair(rows: F8, real: npt.DTypeLike) -> npt.NDArray[Any]:
    """The table in its type; what float loses of moneyness stands in a column of its own."""
    if np.dtype(real) == np.float64:
        return rows
    out = rows.astype(real)
    out[1] = rows[0] - out[0]
    return out


def _tiles(
    instruments: Instruments, option: Bool, early: Bool, moving: Bool, moneyness: F8, tile: int
) -> tuple[npt.NDArray[np.int32], Bool]:
    """The kernels' `TileColumn`s (n_tiles, 6), and which tiles have a fit: runs of one group, moneyness ascending, in
    one tile of the engine."""
    n = len(option)
    change = np.ones(n, dtype=np.bool_)
    if n:
        change[1:] = moving[1:] & (moneyness[1:] < moneyness[:-1])
        for key in (option, instruments.maturity, instruments.sign, early, moving):
            change[1:] |= key[1:] != key[:-1]
        change[::tile] = True
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


def _linear(
    instruments: Instruments, price: F8, live: Bool, at: I8, height: int
) -> tuple[npt.NDArray[np.int32], F8, list[int]]:
    """(n, 3) row of its tile, maturity (−1: at spot) and `LinearCode`; tile after tile (3, n) price today, strike and
    multiplier; and where each tile begins."""
    kind, inverse, sign = instruments.kind[at], instruments.inverse[at], instruments.sign[at]
    code = np.where(kind == SPOT, CASH, np.where(inverse, INVERSE, MARGINED))
    code = np.where(kind == OPTION, np.where(sign > 0, CALL_EXPIRED, PUT_EXPIRED), code)
    forward = np.where(live[at] & (kind == FUTURE), instruments.maturity[at], -1)
    table = np.stack([at % height, forward, code], axis=1).astype(np.int32)
    columns = np.stack([price[at], instruments.strike[at], instruments.multiplier[at]])
    edges = _edges(at, -(-len(price) // height), height)
    blocks = [columns[:, begin:end].reshape(-1) for begin, end in pairwise(edges) if end > begin]
    return table, np.concatenate([*blocks, np.zeros(0)]), edges
