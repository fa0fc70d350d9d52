"""The tables of a book: their columns, what each may hold, and how a message words it."""

from dataclasses import dataclass
from typing import Literal

Type = Literal["identifier", "number", "time", "word"]
Sign = Literal["any", "positive", "not negative"]


@dataclass(frozen=True)
class Column:
    """A column: `expected` is how a message says what belongs there; `default` stands for null."""

    name: str
    type: Type
    expected: str
    required: bool = False
    default: float = float("nan")
    sign: Sign = "any"
    words: tuple[str, ...] = ()  # the first is the default, unless the column is required or has none
    has_default: bool = True


@dataclass(frozen=True)
class Table:
    """A table: its columns and its key, the columns that no two rows may share (none: rows add up)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _identifier(name: str, expected: str, *, required: bool = True) -> Column:
    return Column(name, "identifier", expected, required)


def _word(name: str, *words: str, required: bool = False, has_default: bool = True) -> Column:
    quoted = [f"'{word}'" for word in words]
    return Column(
        name,
        "word",
        f"{', '.join(quoted[:-1])} or {quoted[-1]}",
        required,
        words=words,
        has_default=has_default and not required,
    )


def _number(name: str, expected: str, *, sign: Sign = "any", required: bool = False, **default: float) -> Column:
    return Column(name, "number", expected, required, default.get("default", float("nan")), sign)


_UNDERLYING = "the name of a row of underlyings"
_INSTRUMENT = "the name of a row of instruments"
_CURRENCY = "a currency, such as USD"
_ACCOUNT = "the account's name"
_TIME = "YYYY-MM-DD, or that and T or a space and HH:MM[:SS[.ffffff]] and Z or ±HH:MM"
_POSITIVE: Sign = "positive"

POSITIONS = Table(
    "positions",
    (
        _identifier("account", _ACCOUNT),
        _identifier("instrument", _INSTRUMENT),
        _number("quantity", "a finite number of contracts", required=True),
    ),
)
TRADES = Table("trades", POSITIONS.columns[1:])
"""What an account might do; no table of a book, but read like one."""

INSTRUMENTS = Table(
    "instruments",
    (
        _identifier("instrument", "the instrument's name"),
        _word("kind", "spot", "future", "perpetual", "option", required=True),
        _identifier("underlying", _UNDERLYING),
        _number("multiplier", "a positive number of units per contract", sign=_POSITIVE, default=1.0),
        Column("expiry", "time", _TIME),
        _number("strike", "a positive strike, in the quote currency"),
        _word("right", "call", "put", has_default=False),
        _word("exercise", "european", "american"),
        _word("settlement", "linear", "inverse"),
        _number("iv", "a positive volatility, a decimal per √year"),
    ),
    ("instrument",),
)
UNDERLYINGS = Table(
    "underlyings",
    (
        _identifier("underlying", "the underlying's name"),
        _identifier("currency", _CURRENCY),
        _number("spot", "a positive price (dynamics normal: any finite one)", required=True),
        _word("dynamics", "lognormal", "normal"),
        _word("carry", "rate", "none"),
        _number("dividend_yield", "a finite continuous yield, a decimal", default=0.0),
        _number("adv", "a positive daily volume, in units of the underlying", sign=_POSITIVE),
        _number("vega_adv", "a positive daily vega, per 1.00 of volatility", sign=_POSITIVE),
        _number("half_spread", "a half-spread of 0 or more", sign="not negative"),
        _number("vol_half_spread", "a half-spread of volatility of 0 or more", sign="not negative"),
    ),
    ("underlying",),
)
FORWARDS = Table(
    "forwards",
    (
        _identifier("underlying", _UNDERLYING),
        Column("expiry", "time", _TIME, required=True),
        _number("forward", "a positive price (dynamics normal: any finite one)", required=True),
    ),
    ("underlying", "expiry"),
)
VOLS = Table(
    "vols",
    (
        _identifier("underlying", _UNDERLYING),
        Column("expiry", "time", _TIME, required=True),
        _number("strike", "a positive strike (dynamics normal: any finite one)", required=True),
        _number("iv", "a positive volatility, a decimal per √year", sign=_POSITIVE, required=True),
    ),
    ("underlying", "expiry", "strike"),
)
RATES = Table(
    "rates",
    (
        _identifier("currency", _CURRENCY),
        Column("expiry", "time", _TIME, required=True),
        _number("rate", "a finite continuous zero rate, a decimal", required=True),
    ),
    ("currency", "expiry"),
)
FX = Table(
    "fx",
    (
        _identifier("currency", _CURRENCY),
        _number("rate", "a positive rate: base currency for one unit", sign=_POSITIVE, required=True),
    ),
    ("currency",),
)
HISTORY = Table("history", (Column("date", "time", _TIME, required=True),))
ACCOUNTS = Table(
    "accounts",
    (
        _identifier("account", _ACCOUNT),
        _identifier("member", "the member's name", required=False),
        _word("kind", "client", "house"),
        _number("volume", "a volume traded of 0 or more, in base currency", sign="not negative"),
    ),
    ("account",),
)
COLLATERAL = Table(
    "collateral",
    (
        _identifier("account", _ACCOUNT),
        _identifier("asset", "an underlying or a currency"),
        _number("quantity", "a finite quantity", required=True),
    ),
)
MEMBERS = Table(
    "members",
    (
        _identifier("member", "the member's name"),
        _identifier("group", "the name of the member's group, whose members default together", required=False),
        _number(
            "contribution",
            "a contribution to the default fund of 0 or more, in base currency",
            sign="not negative",
            default=0.0,
        ),
    ),
    ("member",),
)

TABLES = {
    table.name: table
    for table in (
        POSITIONS,
        INSTRUMENTS,
        UNDERLYINGS,
        FORWARDS,
        VOLS,
        RATES,
        FX,
        HISTORY,
        ACCOUNTS,
        COLLATERAL,
        MEMBERS,
    )
}
REQUIRED = ("positions", "instruments", "underlyings")

FACTORS = {
    "spot": "a finite level",
    "forward": "a finite level",
    "iv": "a finite volatility",
    "rate": "a finite zero rate",
    "fx": "a finite rate: base currency for one unit",
}
"""The prefixes of history's columns, and what each column holds."""


def factor_kind(column: str) -> str | None:
    """The prefix of a factor's column (`spot` of `spot:BTC`); None where the column is no factor."""
    prefix, colon, _ = column.partition(":")
    return prefix if colon and prefix in FACTORS else None
