"""Underlyings and instruments: their columns, and the rules that hold across columns."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.tables.book import NO_EXPIRY, Instruments, Underlyings
from gpu_var.tables.columns import Bool, Columns
from gpu_var.tables.findings import Findings, listed, shown
from gpu_var.tables.times import NO_TIME

SPOT, FUTURE, PERPETUAL, OPTION = range(4)
VOLATILITY_IN_PER_CENT = 5.0
PLACEHOLDER = 1.0  # of a volatility that was refused: no second finding that there is none


def underlyings(table: Columns | None) -> tuple[Underlyings, pa.StringArray]:
    """The underlyings, and the names of their currencies; `currency` is still to be filled in."""
    if table is None:
        none = np.zeros(0)
        flag = np.zeros(0, np.bool_)
        names = pa.array([], pa.string())
        return Underlyings(names, np.zeros(0, np.int32), none, flag, flag, none, none, none, none, none), names
    name, currency = table.identifiers("underlying"), table.identifiers("currency")
    names = name.names()
    table.unique("underlying", (name.code,), name.code >= 0, lambda row: shown(names[row].as_py()))
    dynamics, carry, spot = table.words("dynamics"), table.words("carry"), table.numbers("spot")
    table.refuse_sign("spot", (dynamics == 0) & (spot <= 0))
    built = Underlyings(
        names,
        np.full(table.rows, -1, np.int32),
        spot,
        dynamics != 0,
        carry != 1,
        *(table.numbers(c) for c in ("dividend_yield", "adv", "vega_adv", "half_spread", "vol_half_spread")),
    )
    return built, currency.names()


def instruments(table: Columns | None, owners: Underlyings | None, findings: Findings) -> Instruments:
    """The instruments; rows whose underlying or kind was refused have −1 there. `owners` is None where unknown."""
    if table is None:
        return Instruments(
            pa.array([], pa.string()),
            np.zeros(0, np.int8),
            np.zeros(0, np.int32),
            np.zeros(0),
            np.zeros(0, np.int64),
            np.zeros(0),
            np.zeros(0, np.int8),
            np.zeros(0, np.bool_),
            np.zeros(0, np.bool_),
            np.zeros(0),
        )
    name = table.identifiers("instrument")
    names = name.names()
    table.unique("instrument", (name.code,), name.code >= 0, lambda row: shown(names[row].as_py()))
    kind = table.words("kind")
    underlying, normal = reference(table, owners)
    option, expires = kind == OPTION, (kind == OPTION) | (kind == FUTURE)
    multiplier, expiry, strike = table.numbers("multiplier"), table.times("expiry"), table.numbers("strike")
    right, american, inverse = table.words("right"), table.words("exercise") == 1, table.words("settlement") == 1
    iv = table.numbers("iv")

    def absent(column: str, where: Bool, expected: str) -> None:
        if column not in table.raw.refused:
            table.report(column, "null", where & ~table.given(column), lambda _: f"missing; expected {expected}")

    absent("expiry", expires, "the time at which a future or option expires")
    absent("strike", option, "the option's strike, in the quote currency")
    absent("right", option, "'call' or 'put'")
    table.refuse_sign("strike", option & (strike <= 0) & (normal == 0))
    table.refuse_sign("iv", option & (iv <= 0))
    iv[option & table.bad.get("iv", np.full(table.rows, "iv" in table.raw.refused))] = PLACEHOLDER
    table.report(
        "settlement",
        "inverse",
        (kind == SPOT) & inverse,
        lambda _: "'inverse' does not go with kind spot; expected 'linear'",
    )
    table.report(
        "exercise",
        "american",
        option & american & (normal == 1),
        lambda _: "'american' does not go with an underlying of normal dynamics; expected 'european'",
    )
    table.report(
        "exercise",
        "american inverse",
        option & american & inverse,
        lambda _: "'american' does not go with settlement inverse; expected 'european', or settlement 'linear'",
    )
    at = f"({table.raw.label}, column"
    high = option & (iv > VOLATILITY_IN_PER_CENT) & (normal == 0)
    if high.any():
        findings.note(f"iv over 5, in per cent? instruments {listed(_of(names, high))} {at} iv)")
    _unused(table, names, kind, findings)
    return Instruments(
        names,
        kind,
        underlying,
        multiplier,
        np.where(expires, expiry, NO_EXPIRY),
        np.where(option, strike, np.nan),
        np.where(option & (right >= 0), 1 - 2 * right, 0).astype(np.int8),
        option & american,
        inverse,
        np.where(option, iv, np.nan),
    )


def reference(table: Columns, owners: Underlyings | None) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Each row's underlying, −1 where there is none, and 1 where it is normal, 0 lognormal, −1 unknown."""
    name = table.identifiers("underlying")
    if owners is None:
        return np.full(table.rows, -1, np.int32), np.full(table.rows, -1, np.int8)
    underlying = name.rows_in(owners.name)
    unknown(table, "underlying", (name.code >= 0) & (underlying < 0), "underlyings")
    return underlying, np.append(owners.normal.astype(np.int8), np.int8(-1))[underlying]


def unknown(table: Columns, column: str, wrong: Bool, where: str) -> None:
    """Findings for names that another table does not have."""
    table.report(
        column,
        "unknown",
        wrong,
        lambda row: f"{table.shown(column, row)} is not in {where}; expected the name of a row of {where}",
    )


def _unused(table: Columns, names: pa.StringArray, kind: npt.NDArray[np.int8], findings: Findings) -> None:
    """Notes on fields that do not apply to an instrument's kind."""
    derivative = (kind == OPTION) | (kind == FUTURE) | (kind < 0)
    applies = {"expiry": derivative} | dict.fromkeys(
        ("strike", "right", "exercise", "iv"), (kind == OPTION) | (kind < 0)
    )
    for column, where in applies.items():
        idle = table.given(column) & ~where
        if idle.any():
            kinds = "spot and perpetuals" if column == "expiry" else "spot, futures and perpetuals"
            what = f"{table.raw.label}, column {column}: does not apply to {kinds}, and is ignored there"
            findings.note(f"{what}: {listed(_of(names, idle))}")


def _of(names: pa.StringArray, where: Bool) -> list[str]:
    """The names of those rows, but for the null ones."""
    return [name for name in names.filter(pa.array(where)).to_pylist() if name is not None]


def expired(expiry: npt.NDArray[np.int64], as_of_us: int) -> Bool:
    """Which rows have expired; what does not expire has not."""
    gone: Bool = (expiry <= as_of_us) & (expiry != NO_TIME)
    return gone
