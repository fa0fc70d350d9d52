"""Reads a book: every table, every row, everything wrong with it in one go."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gpu_var.tables import holdings, nodes, products
from gpu_var.tables.batches import UnsoundError, streamable
from gpu_var.tables.book import Accounts, Book, Currencies, Nodes
from gpu_var.tables.columns import Columns, Identifiers
from gpu_var.tables.config import Config
from gpu_var.tables.config_sources import Sources
from gpu_var.tables.files import find_files
from gpu_var.tables.findings import Findings, listed
from gpu_var.tables.history import history
from gpu_var.tables.readers import read_table
from gpu_var.tables.schema import REQUIRED, TABLES
from gpu_var.tables.source_files import Part
from gpu_var.tables.sources import fetch, names_in
from gpu_var.tables.stored import Stored
from gpu_var.tables.streamed import stream_positions


@dataclass(frozen=True)
class Draft:
    """A book as far as it could be read, and what later checks must not rely on.

    `broken` holds tables, `dates`, and columns of history. Rows that were refused have −1 or NaN.
    """

    book: Book
    broken: frozenset[str]


def read_book(path: str | Path, config: Config | None = None) -> Book:
    """Read and check a folder of tables (contract 1).

    Given `config`, `history` must be there where one of its models needs it, and the tables that its [sources] name are
    read from there. What depends on the configuration beyond that (dates, factors, currencies) is checked when the
    book is run.

    Raises `InputError` with everything that is wrong.
    """
    findings = Findings()
    needs_history = config is not None and config.needs_history
    sources = None if config is None else config.sources
    draft = draft_book(Path(path), findings, needs_history=needs_history, sources=sources)
    findings.raise_if_any()
    return draft.book


def draft_book(
    path: Path,
    findings: Findings,
    *,
    needs_history: bool,
    sources: Sources | None = None,
    unsure: bool = False,
    store: bool = False,
) -> Draft:
    """Read as much of the book as can be read, everything wrong into `findings`.

    `unsure`: [sources] was refused, so that a table that is not there may well stand in it.
    `store`: positions in Parquet or Arrow are streamed into a file and never all in memory. Those with something wrong
    in them are read as a whole after all, to say all of it.
    """
    required = (*REQUIRED, "history") if needs_history else REQUIRED
    elsewhere = frozenset(sources.named if sources else ())
    wanted = () if unsure else tuple(name for name in required if name not in elsewhere)
    found = find_files(path, findings, wanted, elsewhere, names_in(sources, path))
    fetched = fetch(sources, path, findings) if path.is_dir() else {}
    files = {**found.of, **{name: source.paths for name, source in fetched.items()}}
    ignored: list[str] = []
    tables: dict[str, Columns] = {}
    broken = set(found.refused) | (elsewhere - fetched.keys()) | (TABLES.keys() - files.keys() if unsure else set())
    streamed: tuple[Part, ...] | None = None

    def read(name: str, ignored: list[str]) -> None:
        raw = read_table(TABLES[name], files[name], findings, ignored, fetched.get(name))
        if raw is not None and raw.rows:
            tables[name] = Columns(raw, findings)
        if raw is None or not raw.whole or not raw.rows:
            broken.add(name)

    for name, paths in files.items():
        if store and name == "positions":
            streamed = streamable(paths, fetched.get(name), ignored)
        if name != "positions" or streamed is None:
            read(name, ignored)
    if ignored:
        findings.note(f"ignored columns: {listed(ignored)}")

    owners, quote = products.underlyings(tables.get("underlyings"))
    known = owners if _has(tables, "underlyings", "underlying") else None
    instruments = products.instruments(tables.get("instruments"), known, findings)
    forwards = nodes.forwards(tables.get("forwards"), known)
    vols = nodes.vols(tables.get("vols"), known, findings)
    rates, rate_names = nodes.rates(tables.get("rates"))
    fx_names, fx = nodes.fx(tables.get("fx"))
    currencies, quote_row, rates = _currencies(quote, rates, rate_names, fx_names, fx)

    must_be_listed = _has(tables, "accounts", "account")
    listed_accounts = tables.get("accounts") if must_be_listed else None
    names = instruments.name if _has(tables, "instruments", "instrument") else None
    stored: Stored | None = None
    if listed_accounts is not None or streamed is None:
        accounts = holdings.accounts(listed_accounts, tables.get("positions"))
    if streamed is not None:
        try:
            accounts, stored = _stored(streamed, accounts if must_be_listed else None, names)
        except UnsoundError:
            read("positions", [])
            accounts = accounts if must_be_listed else holdings.accounts(None, tables.get("positions"))
    positions = holdings.positions(tables.get("positions"), accounts, must_be_listed, names)
    levels, untrusted = history(tables.get("history"))
    book = Book(
        path=path,
        accounts=accounts,
        positions=positions,
        instruments=instruments,
        underlyings=dataclasses.replace(owners, currency=quote_row),
        currencies=currencies,
        forwards=forwards,
        vols=vols,
        rates=rates,
        history=levels,
        collateral=holdings.collateral(tables.get("collateral"), accounts, must_be_listed, findings),
        files=files,
        notes=tuple(findings.notes),
        sources=fetched,
        members=holdings.members(tables.get("members")),
        stored=stored,
    )
    return Draft(book, frozenset(broken) | untrusted)


def _stored(
    parts: tuple[Part, ...], listed_accounts: Accounts | None, names: pa.StringArray | None
) -> tuple[Accounts, Stored]:
    if names is None:
        raise UnsoundError("the instruments are not known")
    return stream_positions(parts, listed_accounts, names)


def _has(tables: dict[str, Columns], table: str, column: str) -> bool:
    """Whether a table's names are all known, so that a name that is not among them is wrong."""
    return table in tables and column in tables[table] and not tables[table].raw.ragged


def _currencies(
    quote: pa.StringArray, rates: Nodes, rate_names: pa.StringArray, fx_names: pa.StringArray, fx: np.ndarray
) -> tuple[Currencies, np.ndarray, Nodes]:
    """Every currency ascending, the row of each underlying's, and rates owned by those rows."""
    named = {*quote.to_pylist(), *rate_names.to_pylist(), *fx_names.to_pylist()} - {None, ""}
    names = tuple(sorted(named))
    known = pa.array(names, pa.string())
    rate = np.full(len(names), np.nan)
    rate[_rows(fx_names, known)] = fx
    owner = _rows(rate_names, known)[rates.owner] if len(rates.owner) else rates.owner
    order = np.lexsort((rates.expiry, owner))
    sorted_rates = Nodes(owner[order], rates.expiry[order], rates.strike, rates.value[order])
    return Currencies(names, rate), _rows(quote, known), sorted_rates


def _rows(names: pa.StringArray, known: pa.StringArray) -> np.ndarray:
    return Identifiers(np.arange(len(names), dtype=np.int32), names).rows_in(known)
