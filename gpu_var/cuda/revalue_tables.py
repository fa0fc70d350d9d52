"""The columns that the kernels of revaluation read, from the arrays of `cpu_reference.types`, and their uploads.

Everything here is per instrument, maturity or fit, never per scenario.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.premium import Premium
from cpu_reference.revalue import Prepared
from cpu_reference.smile import smile_variance
from cpu_reference.types import F8, I8, OPTION, SPOT, Bool, Instruments, Market, Smile
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

_TOGETHER = 1 << 16
"""Bytes of an array up to which it is uploaded with others."""

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


class Tables(NamedTuple):
    """Instruments as the kernels read them; device arrays unless said otherwise."""

    height: int  # instruments of a tile
    tiles: list[Tile]
    n_rows: int
    maturities: Any  # float64, flat (7, n_maturities)
    n_maturities: int
    segment_start: Any  # int32 (n_maturities + 1,)
    segments: Any  # real, flat (4, n_segments)
    n_segments: int
    room: int
    terms: Any  # int32, flat (n_fits, 4): see `revalue_american` in kernels/revalue.cu, as for the next two
    ranges: Any  # float64, flat (n_fits, 3)
    common: Any  # real: coefficients that all scenarios share
    n_scenarios: int | None  # of the fits
    sources: tuple[Any, ...]  # what the tables were made of, kept alive


def tables(
    device: Device, instruments: Instruments, market: Market, prepared: Prepared, real: npt.DTypeLike, height: int
) -> Tables:
    """Lay out and upload what instruments need.

    Args:
        instruments: (n,) columns, of one underlying or of several.
        market: their market today.
        prepared: of the same instruments.
        real: float64 or float32.
        height: instruments of a tile, between two aggregations.
    """
    n, n_tiles = len(instruments.kind), -(-len(instruments.kind) // height)
    maturities = _maturities(market)
    option = (market.horizon.years > 0)[instruments.maturity] & (instruments.kind == OPTION)
    keys = sorted(prepared.premium)
    premiums = [prepared.premium[key] for key in keys]
    series = 3 * instruments.maturity + instruments.sign + 1
    fit = _fit_of(series, option & instruments.american, keys, maturities.shape[1])
    rows, moving = _rows(instruments, market, maturities, prepared.price, option)
    groups = _tiles(instruments, (option, series, fit, moving), rows[0], height)
    chebyshev = chebyshev_sums(premiums, real)
    terms, ranges, common, place, own = fits_on_device(device, premiums, chebyshev, real)
    first = groups[:, 0].astype(np.intp)
    fit_of_group, tile = fit[first], first // height
    of_tiles, mixed = places(place, own, n_tiles, fit_of_group, tile)
    kind = np.array([*(1 + sums for sums in chebyshev), 0])[fit_of_group]
    groups, edges = _by_kernel(groups, 3 * tile + kind, 3 * n_tiles)
    groups[:, 0] %= height

    linear, linear_columns, linear_edges = _linear(instruments, prepared.price, np.flatnonzero(~option), height)
    start, segments = _segments(market.smile_horizon)
    on_device = _uploaded(
        device,
        rows=_pair(rows, real),
        groups=groups,
        place=of_tiles,
        linear=linear,
        linear_columns=linear_columns,
        maturities=maturities,
        segment_start=start,
        segments=segments.astype(real, copy=False),
        terms=terms,
        ranges=ranges,
        common=common,
    )
    all_groups, all_linear = on_device["groups"].reshape(*groups.shape), on_device["linear"].reshape(*linear.shape)
    tiles = []
    for t, direct in enumerate(_direct(fit, keys, premiums, n_tiles, height)):
        european, *american = (all_groups[begin:end] for begin, end in pairwise(edges[3 * t : 3 * t + 4]))
        begin, end = linear_edges[t : t + 2]
        tiles.append(
            Tile(
                rows=on_device["rows"][t * height :],
                linear=all_linear[begin:end],
                linear_columns=on_device["linear_columns"][3 * begin : 3 * end],
                european=european,
                american={sums: of for sums, of in zip((False, True), american, strict=True) if len(of)},
                place=on_device["place"][t * len(premiums) : (t + 1) * len(premiums)],
                own=mixed[t],
                own_coefficients=sum(len(one.coefficients) for _, one in mixed[t]),
                direct=direct,
            )
        )
    return Tables(
        height=height,
        tiles=tiles,
        n_rows=n,
        maturities=on_device["maturities"],
        n_maturities=maturities.shape[1],
        segment_start=on_device["segment_start"],
        segments=on_device["segments"],
        n_segments=segments.shape[1],
        room=min(int(np.diff(start).max(initial=1)), ROOM),
        terms=on_device["terms"],
        ranges=on_device["ranges"],
        common=on_device["common"],
        n_scenarios=len(premiums[0].direct) if premiums else None,
        sources=(instruments, market, prepared),
    )


def _by_kernel(groups: npt.NDArray[np.int32], part: I8, n_parts: int) -> tuple[npt.NDArray[np.int32], list[int]]:
    """The kernels' tiles in order of their parts, and where each part begins.

    Args:
        part: of each; three for a tile of the engine: without a fit, that sum powers, that sum Chebyshev polynomials.
    """
    order = np.argsort(part, kind="stable")
    return groups[order], np.searchsorted(part[order], np.arange(n_parts + 1)).tolist()


def _uploaded(device: Device, **arrays: npt.NDArray[Any]) -> dict[str, Any]:
    """The arrays on the device, flat. Small ones of a type travel together: a call takes longer than their bytes."""
    out = {}
    small: dict[np.dtype[Any], list[str]] = {}
    for name, array in arrays.items():
        if array.nbytes > _TOGETHER:
            out[name] = device.upload(array.reshape(-1))
        else:
            small.setdefault(array.dtype, []).append(name)
    for names in small.values():
        pieces = [arrays[name].reshape(-1) for name in names]
        whole = device.upload(np.concatenate(pieces))
        begin = 0
        for name, piece in zip(names, pieces, strict=True):
            out[name] = whole[begin : begin + len(piece)]
            begin += len(piece)
    return out


def _edges(first: npt.NDArray[np.integer], n_tiles: int, height: int) -> list[int]:
    """Where those of each tile begin, of things that begin at these rows, ascending; and their number."""
    return [int(e) for e in np.searchsorted(first, np.arange(n_tiles + 1) * height)]


def _direct(
    fit: I8, keys: list[tuple[int, int]], premiums: list[Premium], n_tiles: int, height: int
) -> list[list[tuple[slice, tuple[int, int], Premium]]]:
    """Runs of American rows with scenarios that have no fit, by tile."""
    out: list[list[tuple[slice, tuple[int, int], Premium]]] = [[] for _ in range(n_tiles)]
    for i, (key, premium) in enumerate(zip(keys, premiums, strict=True)):
        if premium.any_direct:
            at = np.flatnonzero(fit == i)
            cut = np.flatnonzero((np.diff(at) > 1) | (np.diff(at // height) > 0)) + 1
            for run in np.split(at, cut) if len(at) else ():
                out[int(run[0]) // height].append((slice(int(run[0]), int(run[-1]) + 1), key, premium))
    return out


def _fit_of(series: I8, american: Bool, keys: list[tuple[int, int]], n_maturities: int) -> I8:
    """(n,) which of the early-exercise premiums a row has; −1: none.

    Args:
        series: (n,) 3·maturity + sign + 1.
        american: (n,) whether it is a live American option.
        keys: (maturity, sign) of the premiums.
    """
    of = [-1] * (3 * n_maturities)
    for i, (m, sign) in enumerate(keys):
        of[3 * m + sign + 1] = i
    return np.where(american, np.array(of)[series], -1)


def _rows(instruments: Instruments, market: Market, maturities: F8, price: F8, option: Bool) -> tuple[F8, Bool]:
    """The kernels' `RowColumn`s (ROW_COLUMNS, n) in float64, and (n,) whether volatility moves along the smile."""
    every = bool(option.all())
    at = slice(None) if every else option
    m, strike, sign = instruments.maturity[at], instruments.strike[at], instruments.sign[at]
    base, forward, unit, spot, fx = maturities[2:].take(m, axis=1)
    out = np.empty((ROW_COLUMNS, len(m)))
    moneyness, lost, strikes, vol, inverse_vol, log_variance, value, time_value, multiplier, exercised, before = out
    with np.errstate(all="ignore"):  # a result that is not finite is found, and named, where cells are measured
        if market.normal:
            np.subtract(strike, base, out=moneyness)
        else:
            np.log(np.divide(strike, base, out=moneyness), out=moneyness)
        lost[:], strikes[:], vol[:], multiplier[:] = 0.0, strike, instruments.vol[at], instruments.multiplier[at]
        if market.sticky_strike:
            ask = np.isnan(vol)
            vol[ask] = np.sqrt(smile_variance(market.smile_horizon, m[ask], moneyness[ask]))
        moves = np.isnan(vol)
        inverse_vol[:] = log_variance[:] = vol
        if not moves.all():
            np.divide(1.0, vol, out=inverse_vol)
            np.log(vol, out=log_variance)
            log_variance *= 2.0
        np.subtract(forward, strike, out=value)
        value *= sign
        value *= unit
        np.multiply(price[at], fx, out=before)
        np.subtract(before, np.maximum(value, 0.0), out=time_value)
        np.subtract(spot, strike, out=exercised)
        exercised *= sign
        exercised *= fx
        exercised -= before
        np.negative(before, out=before)
    if every:
        return out, moves
    rows, moving = np.zeros((ROW_COLUMNS, len(option))), np.zeros(len(option), dtype=np.bool_)
    rows[:, option], moving[option] = out, moves
    return rows, moving


def _pair(rows: F8, real: npt.DTypeLike) -> npt.NDArray[Any]:
    """The table in its type; what float loses of moneyness stands in a column of its own."""
    if np.dtype(real) == np.float64:
        return rows
    out = rows.astype(real)
    out[1] = rows[0] - out[0]
    return out


def _tiles(
    instruments: Instruments, keys: tuple[Bool, I8, I8, Bool], moneyness: F8, tile: int
) -> npt.NDArray[np.int32]:
    """The kernels' `TileColumn`s (n_tiles, 6): runs of one group, moneyness ascending, in one tile of the engine.

    Args:
        keys: (n,) whether it is a live option, its series, its fit (−1: none), whether its volatility moves.
    """
    option, _series, fit, moving = keys
    n = len(option)
    change = np.ones(n + 1, dtype=np.bool_)
    inner = change[1:-1]
    np.logical_and(moving[1:], moneyness[1:] < moneyness[:-1], out=inner)
    for key in keys:
        inner |= key[1:] != key[:-1]
    change[::tile] = True
    edge = np.flatnonzero(change)
    begin, count = edge[:-1], np.diff(edge)
    begin, count = begin[option[begin]], count[option[begin]]
    height = np.where(fit[begin] < 0, EUROPEAN_ROWS, TILE_ROWS)
    pieces = -(-count // height)
    part = np.repeat(np.arange(len(begin)), pieces)
    skipped = (np.arange(len(part)) - (np.cumsum(pieces) - pieces)[part]) * height[part]
    first = begin[part] + skipped
    groups = np.empty((len(first), 6), dtype=np.int32)
    groups[:, 0] = first
    groups[:, 1] = np.minimum(count[part] - skipped, height[part])
    columns: tuple[npt.NDArray[Any], ...] = instruments.maturity, instruments.sign, moving, np.maximum(fit, 0)
    for i, column in enumerate(columns, 2):
        groups[:, i] = column[first]
    return groups


def _maturities(market: Market) -> F8:
    """The kernels' `MaturityColumn`s (7, n_maturities)."""
    today, horizon = market.today, market.horizon
    out = np.empty((7, len(today.years)))
    with np.errstate(all="ignore"):
        out[0], out[1], out[2], out[3] = horizon.years, np.sqrt(horizon.years), horizon.forward, today.forward
        out[4] = np.exp(-today.rate * today.years) * market.fx
        out[5], out[6] = market.spot, market.fx
    return out


def _segments(smile: Smile) -> tuple[npt.NDArray[np.int32], F8]:
    """Where each maturity's segments start, and their left knots and coefficients (4, n_segments)."""
    start = smile.start + np.arange(len(smile.start))
    out = np.zeros((4, len(smile.segment)))
    inner = np.ones(len(smile.segment), dtype=np.bool_)
    inner[start[:-1]] = False
    out[0, inner] = smile.knot
    out[1:] = smile.segment.T
    return start.astype(np.int32), out


def _linear(instruments: Instruments, price: F8, at: I8, height: int) -> tuple[npt.NDArray[np.int32], F8, list[int]]:
    """The kernels' `LinearTable` (n, 3); tile after tile (3, n) price today, strike and multiplier; and where each tile
    begins."""
    if not len(at):
        return np.zeros((0, 3), dtype=np.int32), np.zeros(0), [0] * (1 - -len(price) // height)
    kind, inverse, sign = instruments.kind[at], instruments.inverse[at], instruments.sign[at]
    code = np.where(kind == SPOT, CASH, np.where(inverse, INVERSE, MARGINED))
    code = np.where(kind == OPTION, np.where(sign > 0, CALL_EXPIRED, PUT_EXPIRED), code)
    table = np.stack([at % height, instruments.maturity[at], code], axis=1).astype(np.int32)
    columns = np.stack([price[at], instruments.strike[at], instruments.multiplier[at]])
    edges = _edges(at, -(-len(price) // height), height)
    blocks = [columns[:, begin:end].reshape(-1) for begin, end in pairwise(edges) if end > begin]
    return table, np.concatenate([*blocks, np.zeros(0)]), edges
