"""Full revaluation on the device: the twin of `cpu_reference.revalue`.

`out` chooses the precision. float64 agrees with the reference to 1e-12 of spot (or of the strike, where that is more),
American options to 1e-9; float32 to 2e-6 a price: its differences are formed so that their digits do not cancel, and
what is per scenario and maturity is computed in float64. Errors scale with fx and the multiplier as prices do.

Two things are computed on the host, by the reference: `prepare` (today's prices and the fit of early-exercise
premiums), and American prices in the scenarios that `Premium.direct` marks as having no fit, which
`host_priced` counts.
"""

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

import cpu_reference
from cpu_reference.revalue import Prepared
from cpu_reference.types import Instruments, Market, Shocks
from gpu_var.cuda.device import Device, check_array, current
from gpu_var.cuda.revalue_tables import ROW_COLUMNS, TILE_ROWS, Fits, Tables, tables

_THREADS = 128
_LANES = 32
_TOGETHER = 4
_GRID_Y = 65_535
_KEPT = 512
"""Tiles whose tables stay on the device."""

_NAMES = {np.dtype(np.float64): "double", np.dtype(np.float32): "float"}


class _Shared:
    """What calls share: tables of the latest tiles, and the count of elements priced on the host."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tables: OrderedDict[tuple[Any, ...], tuple[Device, Tables]] = OrderedDict()
        self.host_priced = 0


_shared = _Shared()


def host_priced() -> int:
    """American elements (instruments × scenarios) that the reference has priced on the host in this process."""
    return _shared.host_priced


def prepare(instruments: Instruments, market: Market, shocks: Shocks, listed: Instruments | None = None) -> Prepared:
    """See `cpu_reference.prepare`, which this runs on the host; `revalue` uploads its result.

    Args:
        instruments: the underlying's instruments, host arrays.
        market: its market today, host arrays.
        shocks: its market in *all* scenarios of the run, device or host arrays.
        listed: the American options that the premiums are fitted for, host arrays.
    """
    return cpu_reference.prepare(instruments, market, _on_host(shocks), listed)


def revalue(
    instruments: Instruments, market: Market, shocks: Shocks, prepared: Prepared, scenarios: slice, out: Any
) -> None:
    """Profit and loss of one contract in base currency, gains positive: see `cpu_reference.revalue`.

    The first three and `prepared` must not be changed in place: the tables made of them are kept for later calls.

    Args:
        instruments: (n,) columns, a run of the underlying's instruments, host arrays.
        market: the underlying's market today, host arrays.
        shocks: its market in all scenarios, device arrays.
        prepared: of the same instruments, `price` cut to the same rows.
        scenarios: which of the scenarios, without a step.
        out: (n, n_scenarios of the slice), float64 or float32, on the device, is overwritten.

    Raises:
        TypeError: an array of another kind or dtype than expected.
        ValueError: an array of another shape, or a slice with a step.
    """
    device = current()
    n_maturities = len(market.horizon.years)
    check_array("shocks.spot", shocks.spot, np.float64, (None,))
    total = len(shocks.spot)
    check_array("shocks.fx", shocks.fx, np.float64, (total,))
    for name in ("forward", "rate", "vol_growth"):
        check_array(f"shocks.{name}", getattr(shocks, name), np.float64, (n_maturities, total))
    first, stop, step = scenarios.indices(total)
    if step != 1:
        raise ValueError(f"scenarios has step {step}; expected 1")
    n_rows, n = len(instruments.kind), max(0, stop - first)
    real = np.dtype(getattr(out, "dtype", np.float64))
    check_array("out", out, real if real in _NAMES else np.float64, (n_rows, n))
    if len(prepared.price) != n_rows:
        raise ValueError(f"prepared.price has shape {prepared.price.shape}; expected ({n_rows},)")
    if n > _GRID_Y * _LANES:
        raise ValueError(f"scenarios names {n}; expected at most {_GRID_Y * _LANES} in one call")
    if n == 0 or n_rows == 0:
        return
    of = _tables(device, instruments, market, prepared, real)
    if of.n_scenarios is not None and of.n_scenarios < total:
        raise ValueError(f"prepared has premiums for {of.n_scenarios} scenarios; expected at least {total}")
    _launch(device, of, market, shocks, first, n, out)
    for rows, key, premium in of.direct:
        at = np.flatnonzero(premium.direct[first:stop])
        if len(at):
            out[rows, device.upload(at)] = device.upload(
                _priced_on_host(instruments, market, shocks, prepared, rows, key, first + at).astype(real)
            )


def _launch(device: Device, of: Tables, market: Market, shocks: Shocks, first: int, n: int, out: Any) -> None:
    real = np.dtype(out.dtype)
    suffix = _NAMES[real]
    scenarios = (
        shocks.spot,
        shocks.fx,
        shocks.forward,
        shocks.rate,
        shocks.vol_growth,
        np.int64(len(shocks.spot)),
        np.float64(market.spot),
        np.float64(market.fx),
    )
    last = (np.int64(first), np.int64(n), out)
    if len(of.linear):
        grid = (-(-n // _THREADS), min(len(of.linear), _GRID_Y))
        args = (of.linear, np.int32(len(of.linear)), of.linear_columns, *scenarios, *last)
        device.launch("revalue", f"revalue_linear_{suffix}", grid, (_THREADS,), args)
    shared = (
        of.rows,
        np.int64(of.n_rows),
        of.maturities,
        np.int32(of.n_maturities),
        of.segment_start,
        np.int64(of.n_segments),
        of.segments,
        np.int32(of.room),
    )
    shared_bytes = (ROW_COLUMNS * TILE_ROWS + 4 * of.room) * real.itemsize
    if len(of.european):
        name = f"revalue_{'bachelier' if market.normal else 'black'}_{suffix}"
        grid = (len(of.european), -(-n * real.itemsize // (16 * _THREADS)))
        device.launch("revalue", name, grid, (_THREADS,), (of.european, *shared, *scenarios, *last), shared_bytes)
    if not of.american:
        return
    own = _own_coefficients(device, of.fits, first, n, real)
    fits = of.fits.terms, of.fits.place, of.fits.ranges, of.fits.common, own
    for chebyshev, tiles in of.american.items():
        name = f"revalue_american_{'chebyshev' if chebyshev else 'powers'}_{suffix}"
        grid = (len(tiles), -(-n // _LANES))
        everything = (tiles, *shared, *scenarios, *fits, *last)
        device.launch("revalue", name, grid, (_THREADS,), everything, shared_bytes)


def _own_coefficients(device: Device, fits: Fits, first: int, n: int, real: np.dtype[Any]) -> Any:
    """The coefficients that differ by scenario, (n_coefficients, n) fit after fit."""
    out = device.xp.empty((max(1, fits.own_coefficients), n), dtype=real)
    for fit in fits.own:
        count, nodes = fit.coefficients.shape
        args = (
            fit.coefficients,
            np.int32(count),
            np.int32(nodes),
            fit.node,
            fit.weights,
            np.int64(first),
            np.int64(n),
            out[fit.place : fit.place + count],
        )
        grid = (-(-n // _THREADS), -(-count // _TOGETHER))
        device.launch("revalue", f"mix_coefficients_{_NAMES[real]}", grid, (_THREADS,), args)
    return out


def _tables(
    device: Device, instruments: Instruments, market: Market, prepared: Prepared, real: npt.DTypeLike
) -> Tables:
    """The tables of the same columns, market and premiums, or new ones. What they were made of is kept alive, so that
    an address or an id stands for the same thing as long as it is a key."""
    columns = (*instruments, prepared.price)
    key: tuple[Any, ...] = (
        id(device),
        np.dtype(real).char,
        id(market),
        id(prepared.premium),
        *((a.ctypes.data, len(a), a.strides[0]) for a in columns),
    )
    with _shared.lock:
        if key in _shared.tables:
            _shared.tables.move_to_end(key)
            return _shared.tables[key][1]
    made = tables(device, instruments, market, prepared, real)
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
    fit = prepared.premium[key]
    few = fit._replace(
        rate=fit.rate[at],
        dividend=fit.dividend[at],
        node=fit.node[at],
        weights=None if fit.weights is None else fit.weights[at],
        direct=fit.direct[at],
    )
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

    return Shocks(*map(one, shocks))
