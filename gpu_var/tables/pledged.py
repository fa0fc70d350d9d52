"""What accounts have pledged, and the book in which it stands among the positions, so that scenarios shock it too."""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cpu_reference.types import SPOT
from gpu_var.tables.book import F8, I4, I8, NO_EXPIRY, Book, Bool, Instruments, Pledged, Positions, Underlyings
from gpu_var.tables.config import Config


@dataclass(frozen=True)
class Pledges:
    """The collateral of a book, one row an (account, asset), ascending; rows of unknown assets are left out.

    An asset is the base currency if it is named like it, else an underlying, else another currency. All (n_assets,) but
    the last three, which are (n_pledges,).
    """

    name: tuple[str, ...]
    underlying: I8  # row of Underlyings, −1 for a currency
    currency: I8  # row of Currencies: the underlying's, or itself; −1 for a base currency that stands in no table
    base: Bool
    simulated: Bool  # its price moves with the scenarios' factors, and so is part of the margin
    account: I8
    asset: I8
    quantity: F8  # negative: owed


def pledges(book: Book, config: Config) -> Pledges:
    """The collateral of a book. With `simulate`, every asset is simulated but the base currency, those that
    `allow_unshocked` accepts without a factor, and without a model that has factors, currencies.
    """
    names = pc.unique(book.collateral.asset)
    names = names.take(pc.sort_indices(names.cast(pa.binary())))
    asset = np.asarray(pc.index_in(book.collateral.asset, names), dtype=np.int64)
    row_u = np.asarray(pc.index_in(names, book.underlyings.name).fill_null(-1), dtype=np.int64)
    row_c = np.asarray(pc.index_in(names, pa.array(book.currencies.name, pa.string())).fill_null(-1), dtype=np.int64)
    name = tuple(names.to_pylist())
    base = np.array([one == config.base_currency for one in name], dtype=np.bool_)
    if book.pledged is not None:
        row_u[row_u >= book.pledged.underlying] = -1
    underlying = np.where(base, -1, row_u)
    quote = np.append(book.underlyings.currency.astype(np.int64), -1)[underlying]
    known = (base | (row_u >= 0) | (row_c >= 0))[asset]
    return Pledges(
        name,
        underlying,
        np.where(underlying >= 0, quote, row_c),
        base,
        _simulated(book, config, name, underlying) & ~base,
        book.collateral.account[known].astype(np.int64),
        asset[known],
        book.collateral.quantity[known],
    )


def factor_of(name: str, underlying: int) -> str:
    """The risk factor that moves an asset's own price."""
    return f"spot:{name}" if underlying >= 0 else f"fx:{name}"


def _simulated(book: Book, config: Config, name: tuple[str, ...], underlying: I8) -> Bool:
    if config.collateral is None or not config.collateral.simulate:
        return np.zeros(len(name), dtype=np.bool_)
    if config.fhs is None and config.monte_carlo is None and config.stress is None:
        return np.asarray(underlying >= 0)
    factors = [factor_of(one, u) for one, u in zip(name, underlying.tolist(), strict=True)]
    waived = [f in config.allow_unshocked and f not in book.history.name for f in factors]
    return ~np.array(waived, dtype=np.bool_)


def with_collateral(book: Book, config: Config) -> Book:
    """The book with the collateral that is simulated among its positions; the same book where there is none.

    An asset becomes a spot instrument of its own: on the underlying that it is, or, for a currency, on an added
    underlying of that name, quoted in it, whose price is 1 and which no spot factor moves. Rows are added at the end
    alone, so all others keep their number. A book that has its collateral among the positions is returned as it is.
    """
    if config.collateral is None or not config.collateral.simulate or book.pledged is not None:
        return book
    p = pledges(book, config)
    held = p.simulated[p.asset] & (p.quantity != 0)
    used, of_pledge = np.unique(p.asset[held], return_inverse=True)
    if not len(used):
        return book
    cash = p.underlying[used] < 0
    first_u, first_i = len(book.underlyings.spot), len(book.instruments.kind)
    owner = np.where(cash, first_u + np.cumsum(cash) - 1, p.underlying[used])
    return replace(
        book,
        underlyings=_with_currencies(book.underlyings, [p.name[a] for a in used[cash]], p.currency[used[cash]]),
        instruments=_with_spots(book.instruments, [p.name[a] for a in used], owner),
        positions=merged(book.positions, p.account[held], first_i + of_pledge, p.quantity[held]),
        pledged=Pledged(first_i, first_u),
    )


def _with_currencies(u: Underlyings, names: list[str], currency: I8) -> Underlyings:
    n = len(names)
    none, one = np.full(n, np.nan), np.ones(n)
    added = Underlyings(
        name=pa.array(names, pa.string()),
        currency=currency.astype(np.int32),
        spot=one,
        normal=np.zeros(n, dtype=np.bool_),
        carry=np.ones(n, dtype=np.bool_),
        dividend_yield=np.zeros(n),
        adv=none,
        vega_adv=none,
        half_spread=none,
        vol_half_spread=none,
    )
    return _appended(u, added)


def _with_spots(i: Instruments, assets: list[str], owner: I8) -> Instruments:
    n = len(assets)
    added = Instruments(
        name=_unused([f"{asset} (collateral)" for asset in assets], i.name),
        kind=np.full(n, SPOT, dtype=np.int8),
        underlying=owner.astype(np.int32),
        multiplier=np.ones(n),
        expiry=np.full(n, NO_EXPIRY, dtype=np.int64),
        strike=np.full(n, np.nan),
        sign=np.zeros(n, dtype=np.int8),
        american=np.zeros(n, dtype=np.bool_),
        inverse=np.zeros(n, dtype=np.bool_),
        iv=np.full(n, np.nan),
    )
    return _appended(i, added)


def _unused(names: list[str], taken: pa.StringArray) -> pa.StringArray:
    """The names, each with a prime for every other instrument that is called like it."""
    out = pa.array(names, pa.string())
    while (clash := pc.is_in(out, taken)).true_count:
        out = pc.if_else(clash, pc.binary_join_element_wise(out, "'", ""), out)
    return out


_Columns = TypeVar("_Columns", Underlyings, Instruments)


def _appended(first: _Columns, second: _Columns) -> _Columns:
    def column(name: str) -> Any:
        pair = [getattr(first, name), getattr(second, name)]
        return pa.concat_arrays(pair) if isinstance(pair[0], pa.Array) else np.concatenate(pair)

    return replace(first, **{field.name: column(field.name) for field in fields(first)})


def merged(p: Positions, account: I8 | I4, instrument: I8 | I4, quantity: F8) -> Positions:
    """Positions with others of the same accounts, in instruments that come after all of theirs."""
    at = np.searchsorted(p.account, account, side="right")
    return Positions(
        np.insert(p.account, at, account.astype(np.int32)),
        np.insert(p.instrument, at, instrument.astype(np.int32)),
        np.insert(p.quantity, at, quantity),
    )
