"""Full revaluation on the device: the twin of `cpu_reference.revalue`.

`out` chooses the precision. float64 agrees with the reference to 1e-12 of spot (or of the strike, where that is more),
American options to 1e-9; float32 to 2e-6 a price: its differences are formed so that their digits do not cancel, and
what is per scenario and maturity is computed in float64. Errors scale with fx and the multiplier as prices do.

Today's prices come from the same kernels, always in float64: what a kernel's approximations leave cancels in the
difference of prices. So without a shock float64 gives a profit and loss of rounding, 1e-14 of spot or strike; float32
gives the rounding of its time values, within the 2e-6.

The early-exercise premiums are fitted by the reference, with the boundaries and integrals of `gpu_var.cuda.exercise`.
American prices in the scenarios that `Premium.direct` marks as having no fit are the reference's, on the host;
`host_priced` counts them.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np
import numpy.typing as npt

import cpu_reference
from cpu_reference.premium import Premium, fit_premiums
from cpu_reference.revalue import Prepared, Request, fits, of_scenarios, of_today, unchanged
from cpu_reference.types import Instruments, Market, Shocks
from gpu_var.cuda.arrays import TILE
from gpu_var.cuda.device import Device, check_array, current
from gpu_var.cuda.exercise import SOLVER
from gpu_var.cuda.revalue_tables import ROW_COLUMNS, TILE_ROWS, Tables, Tile, tables

_THREADS = 128
_LANES = 32
_TOGETHER = 4
_GRID_Y = 65_535
_KEPT = 4
"""Tables that stay on the device, each of what is revalued at once; one is revalued after another."""

_NAMES = {np.dtype(np.float64): "double", np.dtype(np.float32): "float"}


class _Shared:
    """What calls share: tables of the latest tiles, the rows of the latest scenarios, which were checked, and the count
    of elements priced on the host."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tables: OrderedDict[tuple[str | int, ...], tuple[Device, Tables]] = OrderedDict()
        self.rows: tuple[Device | None, Shocks | None, int, tuple[Any, Any]] = None, None, 0, (None, None)
        self.host_priced = 0


_shared = _Shared()


def host_priced() -> int:
    """American elements (instruments × scenarios) that the reference has priced on the host in this process."""
    return _shared.host_priced


def prepare(instruments: Instruments, market: Market, shocks: Shocks, listed: Instruments | None = None) -> Prepared:
    """See `cpu_reference.prepare`.

    Args:
        instruments: of one underlying, or of several, host arrays.
        market: their market today, host arrays.
        shocks: their market in *all* scenarios of the run, device or host arrays.
        listed: the American options that the premiums are fitted for, host arrays.

    Returns:
        Host arrays, which `revalue` uploads.
    """
    return prepare_all([Request(instruments, market, shocks, listed)])[0]


def prepare_all(requests: Sequence[Request]) -> list[Prepared]:
    """`prepare` for some requests, whose premiums are fitted all at once."""
    n_underlyings = [int(request.market.underlying.max(initial=-1)) + 1 for request in requests]
    asked = [
        fits(request._replace(shocks=_on_host(request.shocks)), before)
        for request, before in zip(requests, accumulate([0, *n_underlyings]), strict=False)
    ]
    chains = [chain for each in asked for one in each for chain in one.chains.values()]
    fitted = iter(fit_premiums(chains, SOLVER))
    premiums = [[one.done(islice(fitted, len(one.chains))) for one in each] for each in asked]
    # All are launched before the first is waited for.
    prices = [_launched_today(request, each[0]) for request, each in zip(requests, premiums, strict=True)]
    download = current().download
    return [Prepared(download(price)[:, 0], each[-1]) for price, each in zip(prices, premiums, strict=True)]


def _launched_today(request: Request, premiums: dict[tuple[int, int], Premium]) -> Any:
    """(n, 1) today's prices in the quote currency, on the device: what a contract gains that was worth nothing, where
    nothing happens.

    Args:
        premiums: today is the last of their scenarios.
    """
    device, market = current(), request.market
    n = len(request.instruments.kind)
    out = device.xp.empty((n, 1))
    plain = request.instruments._replace(multiplier=np.ones(n), inverse=np.zeros(n, dtype=np.bool_))
    unit = market._replace(fx=np.ones_like(market.fx), horizon=market.today, smile_horizon=market.smile_today)
    still = unchanged(unit).moving(device.upload)
    worthless = Prepared(np.zeros(n), of_today(premiums))
    of = tables(device, plain, unit, worthless, np.float64, max(1, n))
    rows = device.upload(still.row), device.upload(still.base)
    _revalue(device, of, plain, unit, still, rows, worthless, 0, 1, slice(0, n), out)
    return out


def revalue(
    instruments: Instruments,
    market: Market,
    shocks: Shocks,
    prepared: Prepared,
    scenarios: slice,
    out: Any,
    rows: slice | None = None,
) -> None:
    """Profit and loss of one contract in base currency, gains positive: see `cpu_reference.revalue`.

    The first three and `prepared` must not be changed in place: the tables made of them are kept for later calls.

    Args:
        instruments: (n,) columns, all instruments or a run of them, host arrays.
        market: their market today, host arrays.
        shocks: their market in all scenarios, device arrays but for what is the host's.
        prepared: of the same instruments.
        scenarios: which of the scenarios, without a step.
        out: (n_rows, n_scenarios of the slice), float64 or float32, on the device, is overwritten.
        rows: which of the instruments, a tile of them: `TILE`, from a multiple of it, or what is left. All unless
            given.

    Raises:
        TypeError: an array of another kind or dtype than expected.
        ValueError: an array of another shape, a slice with a step, or rows that are no tile.
    """
    device = current()
    shared = _rows_of(device, market, shocks)
    total = shocks.n_scenarios
    first, stop, step = scenarios.indices(total)
    if step != 1:
        raise ValueError(f"scenarios has step {step}; expected 1")
    total_rows, n = len(instruments.kind), max(0, stop - first)
    height = max(1, total_rows) if rows is None else TILE
    rows = slice(0, total_rows) if rows is None else rows
    n_rows = rows.stop - rows.start
    if rows.start % height or rows.stop != min(rows.start + height, total_rows):
        raise ValueError(f"rows names {rows.start} to {rows.stop} of {total_rows}; expected a tile of {height}")
    real = np.dtype(getattr(out, "dtype", np.float64))
    check_array("out", out, real if real in _NAMES else np.float64, (n_rows, n))
    if len(prepared.price) != total_rows:
        raise ValueError(f"prepared.price has shape {prepared.price.shape}; expected ({total_rows},)")
    if n > _GRID_Y * _LANES:
        raise ValueError(f"scenarios names {n}; expected at most {_GRID_Y * _LANES} in one call")
    if n == 0 or n_rows == 0:
        return
    of = _tables(device, instruments, market, prepared, real, height)
    if of.n_scenarios is not None and of.n_scenarios < total:
        raise ValueError(f"prepared has premiums for {of.n_scenarios} scenarios; expected at least {total}")
    _revalue(device, of, instruments, market, shocks, shared, prepared, first, n, rows, out)


def _rows_of(device: Device, market: Market, shocks: Shocks) -> tuple[Any, Any]:
    """`Shocks.row` and `base` on the device, once all of the scenarios' arrays are checked: not again where the next
    tile brings the same."""
    n_maturities = len(market.horizon.years)
    *asked, rows = _shared.rows
    if any(a is not b for a, b in zip(asked, (device, shocks, n_maturities), strict=True)):
        if shocks.normal != market.normal:
            raise ValueError(f"shocks.normal is {shocks.normal}, market.normal {market.normal}; expected the same")
        for name, n in (("row", 5), ("base", 3)):
            shape = getattr(shocks, name).shape
            if shape != (n, n_maturities):
                raise ValueError(f"shocks.{name} has shape {shape}; expected ({n}, {n_maturities})")
        check_array("shocks.move", shocks.move, np.float64, (None, None))
        for name in ("fx", "rate", "vol_growth"):
            check_array(f"shocks.{name}", getattr(shocks, name), np.float64, (None, shocks.n_scenarios))
        for name, read in zip(("move", "move", "fx", "rate", "vol_growth"), shocks.row, strict=True):
            n_rows = len(getattr(shocks, name))
            if read.size and not 0 <= read.min() <= read.max() < n_rows:
                raise ValueError(f"shocks.row names row {read.max()} of {name}; expected 0 to {n_rows - 1}")
        rows = device.upload(shocks.row.astype(np.int32, copy=False)), device.upload(shocks.base)
        _shared.rows = device, shocks, n_maturities, rows
    return rows


def _revalue(
    device: Device,
    of: Tables,
    instruments: Instruments,
    market: Market,
    shocks: Shocks,
    shared: tuple[Any, Any],
    prepared: Prepared,
    first: int,
    n: int,
    rows: slice,
    out: Any,
) -> None:
    """A tile of the tables, in n scenarios from the first; `shared` is of `_rows_of`."""
    if not of.tiles:
        return
    tile = of.tiles[rows.start // of.height]
    _launch(device, of, tile, shocks, shared, first, n, out)
    for direct, key, premium in tile.direct:
        at = np.flatnonzero(premium.direct[first : first + n])
        if len(at):
            priced = _priced_on_host(instruments, market, shocks, prepared, direct, key, first + at)
            into = slice(direct.start - rows.start, direct.stop - rows.start)
            out[into, device.upload(at)] = device.upload(priced.astype(out.dtype))


def _launch(
    device: Device, of: Tables, tile: Tile, shocks: Shocks, rows: tuple[Any, Any], first: int, n: int, out: Any
) -> None:
    real = np.dtype(out.dtype)
    suffix, dynamics = _NAMES[real], "bachelier" if shocks.normal else "black"
    scenarios = (
        of.maturities,
        np.int32(of.n_maturities),
        *rows,
        shocks.move,
        shocks.fx,
        shocks.rate,
        shocks.vol_growth,
        np.int64(shocks.n_scenarios),
    )
    last = (np.int64(first), np.int64(n), out)
    if len(tile.linear):
        grid = (-(-n // _THREADS), min(len(tile.linear), _GRID_Y))
        args = (tile.linear, np.int32(len(tile.linear)), tile.linear_columns, *scenarios, *last)
        device.launch("revalue", f"revalue_linear_{dynamics}_{suffix}", grid, (_THREADS,), args)
    shared = (
        tile.rows,
        np.int64(of.n_rows),
        of.segment_start,
        np.int64(of.n_segments),
        of.segments,
        np.int32(of.room),
    )
    shared_bytes = (ROW_COLUMNS * TILE_ROWS + 4 * of.room) * real.itemsize
    if len(tile.european):
        name = f"revalue_{dynamics}_{suffix}"
        grid = (len(tile.european), -(-n * real.itemsize // (16 * _THREADS)))
        device.launch("revalue", name, grid, (_THREADS,), (tile.european, *shared, *scenarios, *last), shared_bytes)
    if not tile.american:
        return
    polynomials = of.terms, tile.place, of.ranges, of.common, _own_coefficients(device, tile, first, n, real)
    for chebyshev, tiles in tile.american.items():
        name = f"revalue_american_{'chebyshev' if chebyshev else 'powers'}_{suffix}"
        grid = (len(tiles), -(-n // _LANES))
        everything = (tiles, *shared, *scenarios, *polynomials, *last)
        device.launch("revalue", name, grid, (_THREADS,), everything, shared_bytes)


def _own_coefficients(device: Device, tile: Tile, first: int, n: int, real: np.dtype[Any]) -> Any:
    """The coefficients that differ by scenario, (n_coefficients, n) fit after fit."""
    out = device.xp.empty((max(1, tile.own_coefficients), n), dtype=real)
    for place, fit in tile.own:
        count, nodes = fit.coefficients.shape
        args = (
            fit.coefficients,
            np.int32(count),
            np.int32(nodes),
            fit.node,
            fit.weights,
            np.int64(first),
            np.int64(n),
            out[place : place + count],
        )
        grid = (-(-n // _THREADS), -(-count // _TOGETHER))
        device.launch("revalue", f"mix_coefficients_{_NAMES[real]}", grid, (_THREADS,), args)
    return out


def _tables(
    device: Device, instruments: Instruments, market: Market, prepared: Prepared, real: npt.DTypeLike, height: int
) -> Tables:
    """The tables of the same columns, market and premiums, or new ones. What they were made of is kept alive, so that
    an id stands for the same thing as long as it is a key."""
    key = (np.dtype(real).char, height, *map(id, (device, market, prepared.premium, prepared.price, *instruments)))
    with _shared.lock:
        if key in _shared.tables:
            _shared.tables.move_to_end(key)
            return _shared.tables[key][1]
    made = tables(device, instruments, market, prepared, real, height)
    with _shared.lock:
        _shared.tables[key] = device, made
        while len(_shared.tables) > _KEPT:
            _shared.tables.popitem(last=False)
    return made


def _priced_on_host(
    instruments: Instruments,
    market: Market,
    shocks: Shocks,
    prepared: Prepared,
    rows: slice,
    key: tuple[int, int],
    at: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    """(rows, scenarios at) profit and loss by the reference."""
    host = _on_host(shocks, at)
    few = of_scenarios(prepared.premium[key], at)
    out = np.empty((rows.stop - rows.start, len(at)))
    cut = Prepared(prepared.price[rows], {key: few})
    cpu_reference.revalue(instruments.cut(rows), market, host, cut, slice(0, len(at)), out)
    with _shared.lock:
        _shared.host_priced += out.size
    return out


def _on_host(shocks: Shocks, at: npt.NDArray[np.intp] | None = None) -> Shocks:
    """Shocks as host arrays; some scenarios of them, or all."""
    device = current()

    def one(array: Any) -> npt.NDArray[Any]:
        if at is not None:
            array = array[..., at if isinstance(array, np.ndarray) else device.upload(at)]
        return array if isinstance(array, np.ndarray) else device.download(array)

    return shocks.moving(one)
