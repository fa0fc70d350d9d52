"""A book and its market as columns: what every room above reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.tables.source_files import Fetched
from gpu_var.tables.stored import Stored

F8 = npt.NDArray[np.float64]
I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

NO_EXPIRY = np.iinfo(np.int64).min
"""`Instruments.expiry` of what does not expire."""


def rows_of(column: I4, number: int) -> slice:
    """Where a number stands in an ascending column."""
    # Of the column's own type: for another one NumPy would copy the column.
    return slice(*column.searchsorted(np.array([number, number + 1], dtype=column.dtype)).tolist())


@dataclass(frozen=True)
class Accounts:
    """Every account that has positions or stands in `accounts`, ascending by its UTF-8 bytes."""

    name: pa.StringArray
    member: pa.StringArray  # null where not given
    house: Bool
    volume: F8 | None = None  # traded, in base currency; NaN where an account has none, None where no account has


@dataclass(frozen=True)
class Positions:
    """One row an (account, instrument), ascending; the rows of the table are added up. Zero sums are kept."""

    account: I4  # row of Accounts
    instrument: I4  # row of Instruments
    quantity: F8  # signed contracts

    @classmethod
    def none(cls) -> "Positions":
        """No positions."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))


@dataclass(frozen=True)
class Instruments:
    """The instruments table, in its own order."""

    name: pa.StringArray
    kind: npt.NDArray[np.int8]  # cpu_reference.types: SPOT 0, FUTURE 1, PERPETUAL 2, OPTION 3
    underlying: I4  # row of Underlyings
    multiplier: F8
    expiry: I8  # microseconds since 1970 UTC, NO_EXPIRY for spot and perpetual
    strike: F8  # NaN but for options
    sign: npt.NDArray[np.int8]  # +1 call, −1 put, 0 else
    american: Bool
    inverse: Bool
    iv: F8  # NaN: read from the surface


@dataclass(frozen=True)
class Underlyings:
    """The underlyings table, in its own order; NaN where an optional number is not given."""

    name: pa.StringArray
    currency: I4  # row of Currencies
    spot: F8
    normal: Bool  # Bachelier dynamics
    carry: Bool  # False: carry = "none", F = S
    dividend_yield: F8
    adv: F8
    vega_adv: F8
    half_spread: F8
    vol_half_spread: F8


@dataclass(frozen=True)
class Nodes:
    """Forwards, vols or rates: ascending by (owner, expiry, strike). Owner is an underlying, or a currency (rates)."""

    owner: I4
    expiry: I8  # microseconds since 1970 UTC
    strike: F8  # empty but for vols
    value: F8


@dataclass(frozen=True)
class Currencies:
    """Every currency named anywhere in the book, ascending; `fx` is base for one unit (NaN: no rate given)."""

    name: tuple[str, ...]
    fx: F8


@dataclass(frozen=True)
class History:
    """Levels of the risk factors; NaN where the table has null."""

    date: I8  # (n_dates,) microseconds since 1970 UTC, strictly ascending
    name: tuple[str, ...]  # (n_columns,)
    level: F8  # (n_dates, n_columns)


@dataclass(frozen=True)
class Collateral:
    """One row an (account, asset), ascending; the rows of the table are added up. An asset is an underlying or a
    currency; what is owed is negative.
    """

    account: I4
    asset: pa.StringArray
    quantity: F8


def _none() -> pa.StringArray:
    return pa.array([], pa.string())


@dataclass(frozen=True)
class Members:
    """The members table, ascending by the members' UTF-8 bytes; those that stand in `accounts` alone are not in it."""

    name: pa.StringArray = field(default_factory=_none)
    group: pa.StringArray = field(default_factory=_none)  # affiliates default together; itself where not given
    contribution: F8 = field(default_factory=lambda: np.zeros(0))  # to the default fund, base currency


@dataclass(frozen=True)
class Pledged:
    """Where the rows begin that have been added so that collateral stands among the positions."""

    instrument: int  # from this row of Instruments on: an asset each, spot
    underlying: int  # from this row of Underlyings on: a currency each, whose price is 1


@dataclass(frozen=True)
class Book:
    """A validated book. Build it with `read_book`.

    Where the positions are `stored` in a file, `positions` has those alone that were added since, of simulated
    collateral; `slices.positions_of` gives those of some accounts wherever they are.
    """

    path: Path
    accounts: Accounts
    positions: Positions
    instruments: Instruments
    underlyings: Underlyings
    currencies: Currencies
    forwards: Nodes
    vols: Nodes
    rates: Nodes
    history: History
    collateral: Collateral
    files: Mapping[str, tuple[Path, ...]]  # table -> its files, for their hashes
    notes: tuple[str, ...]  # what reading it had to say
    pledged: Pledged | None = None  # what `tables.pledged.with_collateral` has added
    sources: Mapping[str, Fetched] = field(default_factory=dict)  # table -> where it comes from, if not from the folder
    members: Members = field(default_factory=Members)
    stored: Stored | None = None

    def label(self, table: str) -> str:
        """What messages call a table: its file's name; its own where it has none."""
        if table in self.sources:
            return self.sources[table].label
        return self.files[table][0].name if table in self.files else table

    @property
    def held(self) -> Bool:
        """(n_instruments,): held by an account, that is: some account's quantity is not zero."""
        held = np.zeros(len(self.instruments.kind), dtype=np.bool_)
        if self.stored is not None:
            held[: len(self.stored.held)] = self.stored.held
        held[self.positions.instrument[self.positions.quantity != 0]] = True
        return held

    @property
    def positions_by_account(self) -> I8:
        """(n_accounts,) how many positions each account has."""
        in_memory: I8 = np.bincount(self.positions.account, minlength=len(self.accounts.house))
        return in_memory if self.stored is None else in_memory + np.diff(self.stored.begin)

    @property
    def cash(self) -> Bool:
        """(n_underlyings,): a currency held as such. Its price is 1, and its exchange rate is all that moves it."""
        n = len(self.underlyings.spot)
        out: Bool = np.arange(n) >= (n if self.pledged is None else self.pledged.underlying)
        return out
