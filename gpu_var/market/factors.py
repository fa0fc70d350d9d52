"""The risk factors of a run: those columns of history that concern what is held."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cpu_reference.types import FUTURE, OPTION
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import Findings, listed, nearest, shown
from gpu_var.tables.schema import factor_kind

F8 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

_YEARS = {"d": (1, 365), "w": (7, 365), "m": (1, 12), "y": (1, 1)}
_TENOR = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([dwmy])", re.ASCII)
_TENORS_EQUAL = 1e-9  # years: 12m and 1y are one tenor


@dataclass(frozen=True)
class Tenors:
    """The factors of one curve, ascending by tenor."""

    years: F8
    factor: Rows  # row of `Factors`


@dataclass(frozen=True)
class Factors:
    """The factors of a run in lexicographic order of name, by code point; F of them."""

    names: tuple[str, ...]
    column: Rows  # (F,) column of `History.level`
    additive: Bool  # (F,) returns are differences: `rate`, and `spot` and `forward` of a normal underlying
    kind: tuple[str, ...]  # 'spot', 'forward', 'iv', 'rate' or 'fx'
    spot: Rows  # (n_underlyings,) factor of the underlying's spot, −1 for none
    fx: Rows  # (n_currencies,) factor of the currency's rate, −1 for none
    iv: tuple[Tenors, ...]  # of each underlying
    forward: tuple[Tenors, ...]  # of each underlying
    rate: tuple[Tenors, ...]  # of each currency


@dataclass(frozen=True)
class Held:
    """What is held, and so must be shocked."""

    underlying: Bool  # (n_underlyings,), currencies held as such left out
    forward: Bool  # (n_underlyings,): an unexpired future or option on it
    option: Bool  # (n_underlyings,): an unexpired option on it
    currency: Bool  # (n_currencies,): quotes what is held
    rate: Bool  # (n_currencies,): quotes an unexpired future or option


@dataclass(frozen=True)
class _Column:
    """A column of history taken apart."""

    name: str
    kind: str
    owner: str
    years: float  # NaN for spot and fx
    column: int


def held(book: Book, as_of_us: int) -> Held:
    """What some account holds a quantity of."""
    rows = book.held & (book.instruments.underlying >= 0)
    live = rows & (book.instruments.expiry > as_of_us)
    kind, owner = book.instruments.kind, book.instruments.underlying

    def marked(count: int, at: npt.NDArray[np.int32]) -> Bool:
        flags = np.zeros(count, np.bool_)
        flags[at[at >= 0]] = True
        return flags

    underlyings, currencies = len(book.underlyings.spot), len(book.currencies.name)
    underlying = marked(underlyings, owner[rows])
    forward = marked(underlyings, owner[live & ((kind == FUTURE) | (kind == OPTION))])
    return Held(
        underlying & ~book.cash,
        forward,
        marked(underlyings, owner[live & (kind == OPTION)]),
        marked(currencies, book.underlyings.currency[underlying]),
        marked(currencies, book.underlyings.currency[forward]),
    )


def tenor_years(text: str) -> float | None:
    """Years of a tenor: a positive number and d (1/365), w (7/365), m (1/12) or y; None where it is none."""
    match = _TENOR.fullmatch(text)
    if match is None:
        return None
    over, under = _YEARS[match[2]]
    years = float(match[1]) * over / under
    return years if 0 < years < np.inf else None


def select_factors(
    book: Book, config: Config, findings: Findings, *, missing: bool = True, refused: frozenset[str] = frozenset()
) -> Factors:
    """The factors that concern what is held.

    Findings: a name that cannot be taken apart, `forward:` of an underlying without carry, two columns for one factor
    and, with `missing`, a needed factor that history neither has nor had among its `refused` columns. Notes: what is
    ignored or not shocked.
    """
    label = book.label("history")
    needs = held(book, config.as_of_us)
    underlying: dict[str, int] = {}
    for i, name in enumerate(book.underlyings.name.to_pylist()):
        underlying.setdefault(name, i)
    currency = {name: i for i, name in enumerate(book.currencies.name)}
    base = currency.get(config.base_currency, -1)
    concerns = {
        "spot": (underlying, needs.underlying),
        "forward": (underlying, needs.forward),
        "iv": (underlying, needs.option),
        "rate": (currency, needs.rate),
        "fx": (currency, needs.currency & (np.arange(len(currency)) != base)),
    }
    used: list[_Column] = []
    ignored: list[str] = []
    columns, odd = _columns(book, label, findings)
    odd |= refused | {name.rpartition(":")[0] for name in refused}
    for column in columns:
        rows, wanted = concerns[column.kind]
        row = rows.get(column.owner, -1)
        if column.kind == "forward" and row >= 0 and not book.underlyings.carry[row]:
            text = (
                f"{shown(column.owner)} has carry 'none', its forward is its spot; expected no forward: factors for it"
            )
            findings.error(label, text, column=column.name, kind="carry")
        elif row >= 0 and wanted[row]:
            used.append(column)
        else:
            ignored.append(column.name)
    if ignored and not findings.count:  # a table that was refused may be what they concern
        findings.note(f"{label}: ignored, for they concern nothing that is held: {listed(sorted(ignored))}")
    used = _distinct(sorted(used, key=lambda column: column.name), label, findings)
    factors = _built(used, book, underlying, currency)
    if missing:
        _missing(factors, book, needs, base, config, label, findings, odd)
    return factors


def _columns(book: Book, label: str, findings: Findings) -> tuple[list[_Column], set[str]]:
    """History's columns taken apart at the first colon and, where there is a tenor, at the last one; what is no factor.

    Of the latter, both `iv:BTC` and `iv:BTC:x` are returned as `iv:BTC`.
    """
    columns = []
    odd: set[str] = set()
    for i, name in enumerate(book.history.name):
        kind = factor_kind(name) or ""
        owner = name[len(kind) + 1 :]
        years: float | None = np.nan
        if kind not in ("spot", "fx"):
            owner, _, tenor = owner.rpartition(":")
            years = tenor_years(tenor)
        if owner and years is not None:
            columns.append(_Column(name, kind, owner, years, i))
            continue
        odd |= {name, name.rpartition(":")[0]}
        form = {"spot": "spot:UNDERLYING", "fx": "fx:CURRENCY", "rate": "rate:CURRENCY:TENOR"}
        text = f"no factor's name; expected {form.get(kind, f'{kind}:UNDERLYING:TENOR')}"
        tenors = "" if kind in ("spot", "fx") else ", the tenor a positive number and d, w, m or y (30d)"
        findings.error(label, text + tenors, column=name, kind="factor")
    return columns, odd


def _distinct(used: list[_Column], label: str, findings: Findings) -> list[_Column]:
    """Leaves out, with a finding, a column whose tenor another one has too (12m and 1y)."""
    kept: list[_Column] = []
    for column in sorted(used, key=lambda c: (c.kind, c.owner, c.years if c.years == c.years else 0.0)):
        last = kept[-1] if kept else None
        if last and (last.kind, last.owner) == (column.kind, column.owner):
            close = abs(column.years - last.years) <= _TENORS_EQUAL * max(column.years, 1.0)
            if close:
                text = f"the same factor and tenor as column {last.name}; expected one column a tenor"
                findings.error(label, text, column=column.name, kind="tenor")
                continue
        kept.append(column)
    return sorted(kept, key=lambda column: column.name)


def _built(used: list[_Column], book: Book, underlying: dict[str, int], currency: dict[str, int]) -> Factors:
    normal = book.underlyings.normal
    n_underlyings, n_currencies = len(book.underlyings.spot), len(book.currencies.name)
    spot, fx = np.full(n_underlyings, -1, np.intp), np.full(n_currencies, -1, np.intp)
    curves: dict[str, list[list[tuple[float, int]]]] = {
        "iv": [[] for _ in range(n_underlyings)],
        "forward": [[] for _ in range(n_underlyings)],
        "rate": [[] for _ in range(n_currencies)],
    }
    additive = np.zeros(len(used), np.bool_)
    for i, column in enumerate(used):
        row = (currency if column.kind in ("rate", "fx") else underlying)[column.owner]
        additive[i] = column.kind == "rate" or (column.kind in ("spot", "forward") and normal[row])
        if column.kind == "spot":
            spot[row] = i
        elif column.kind == "fx":
            fx[row] = i
        else:
            curves[column.kind][row].append((column.years, i))
    tenors = {kind: tuple(_tenors(curve) for curve in rows) for kind, rows in curves.items()}
    return Factors(
        tuple(column.name for column in used),
        np.array([column.column for column in used], np.intp),
        additive,
        tuple(column.kind for column in used),
        spot,
        fx,
        tenors["iv"],
        tenors["forward"],
        tenors["rate"],
    )


def _tenors(curve: list[tuple[float, int]]) -> Tenors:
    ascending = sorted(curve)
    return Tenors(np.array([years for years, _ in ascending]), np.array([row for _, row in ascending], np.intp))


def _missing(
    factors: Factors,
    book: Book,
    needs: Held,
    base: int,
    config: Config,
    label: str,
    findings: Findings,
    odd: set[str],
) -> None:
    """Findings for needed factors that history does not have, unless the configuration waives them.

    Nothing is said where a column among the `odd` ones was probably meant.
    """
    names = book.underlyings.name
    lacking = [
        (f"spot:{names[u]}", "a column of this name, for the underlying is held")
        for u in np.flatnonzero(needs.underlying & (factors.spot < 0))
    ]
    no_iv = np.array([not len(curve.factor) for curve in factors.iv], np.bool_)
    lacking += [
        (f"iv:{names[u]}", f"at least one column iv:{names[u]}:TENOR, for an unexpired option on it is held")
        for u in np.flatnonzero(needs.option & no_iv)
    ]
    lacking += [
        (f"fx:{book.currencies.name[c]}", "a column of this name, for the currency quotes what is held")
        for c in np.flatnonzero(needs.currency & (factors.fx < 0))
        if c != base
    ]
    waived = []
    for name, expected in lacking:
        if name in odd:
            continue
        if name in config.allow_unshocked:
            waived.append(name)
            continue
        near = nearest(name, [column for column in book.history.name if column not in factors.names])
        hint = f"; there is {shown(near)}" if near else ""
        text = f"missing{hint}; expected {expected} (or {shown(name)} in allow_unshocked)"
        findings.error(label, text, column=name, kind="missing")
    if waived:
        findings.note(f"not shocked, as allow_unshocked accepts: {listed(waived)} (missing from {label})")
