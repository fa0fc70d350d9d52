"""What accounts hold, position by position, as the rules of strategies read it: units, premiums, values."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from cpu_reference import Valuation
from cpu_reference.types import FUTURE, OPTION, PERPETUAL, SPOT
from gpu_var.tables.book import F8, I8, Book, Bool


@dataclass(frozen=True)
class Held:
    """The positions that are not zero, in the order of the book; all (n_positions,).

    Prices, strikes and premiums are in the underlying's currency for one of its units. Collateral that stands among the
    positions, because scenarios shock it, is left out.
    """

    account: I8
    instrument: I8
    underlying: I8
    kind: npt.NDArray[np.int8]  # cpu_reference.types
    sign: F8  # +1 call, −1 put, 0 else
    quantity: F8  # contracts, signed
    units: F8  # of the underlying, signed
    strike: F8
    expiry: I8  # microseconds since 1970 UTC
    spot: F8
    price: F8  # options: the premium
    notional: F8  # base currency, ≥ 0: |units|·spot, and for inverse futures and perpetuals the face
    value: F8  # base currency, signed: of options and spot; futures and perpetuals are worth nothing
    fx: F8  # base currency for one unit of the underlying's

    def take(self, rows: Bool | I8) -> Self:
        """Some of the positions."""
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def option(self) -> Bool:
        return np.asarray(self.kind == OPTION)

    @property
    def stock(self) -> Bool:
        """The underlying itself."""
        return np.asarray(self.kind == SPOT)

    @property
    def future(self) -> Bool:
        return np.asarray((self.kind == FUTURE) | (self.kind == PERPETUAL))


def held(book: Book, valuation: Valuation, fx: F8) -> Held:
    """The positions of a book.

    Args:
        valuation: over all instruments.
        fx: (n_currencies,) base currency for one unit.
    """
    i, u, p = book.instruments, book.underlyings, book.positions
    first_pledged = len(i.kind) if book.pledged is None else book.pledged.instrument
    used = (p.quantity != 0) & (p.instrument < first_pledged)
    at, quantity = p.instrument[used].astype(np.int64), p.quantity[used]
    owner = i.underlying[at].astype(np.int64)
    kind, spot, rate = i.kind[at], u.spot[owner], fx[u.currency[owner]]
    units = quantity * i.multiplier[at]
    face = i.inverse[at] & ((kind == FUTURE) | (kind == PERPETUAL))
    price = valuation.price[at]
    return Held(
        account=p.account[used].astype(np.int64),
        instrument=at,
        underlying=owner,
        kind=kind,
        sign=i.sign[at].astype(np.float64),
        quantity=quantity,
        units=np.where(face, units / spot, units),
        strike=i.strike[at],
        expiry=i.expiry[at],
        spot=spot,
        price=price,
        notional=np.abs(units) * np.where(face, 1.0, np.abs(spot)) * rate,
        value=np.where((kind == OPTION) | (kind == SPOT), units * price * rate, 0.0),
        fx=rate,
    )
