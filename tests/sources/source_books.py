"""A book whose tables can be put anywhere, and what it comes to."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from cli.small import write_book

import gpu_var as gv
from gpu_var.market.checks import load
from gpu_var.tables.findings import InputError

TABLES = ("positions", "instruments", "underlyings", "vols", "accounts", "history")
KEYS = {
    "positions": "account, instrument",
    "instruments": "instrument",
    "underlyings": "underlying",
    "vols": "underlying, expiry, strike",
    "accounts": "account",
    "history": "date",
}
_TEXT = ("account", "instrument", "underlying", "kind", "right", "currency", "member", "asset")
_TIMES = ("expiry", "date")


def folder(path: Path) -> Path:
    return write_book(path)


def typed(book: Path, name: str) -> pa.Table:
    """A table of a book in CSV with Arrow's types: text, float64, timestamps."""
    header = (book / f"{name}.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    types = {
        key: pa.string() if key in _TEXT else pa.timestamp("us") if key in _TIMES else pa.float64() for key in header
    }
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    table = pyarrow.csv.read_csv(book / f"{name}.csv", convert_options=options)
    zoned = [field.with_type(pa.timestamp("us", "UTC")) if field.name in _TIMES else field for field in table.schema]
    return table.cast(pa.schema(zoned))


def moved(book: Path, *names: str) -> dict[str, pa.Table]:
    """Take tables out of a book."""
    tables = {name: typed(book, name) for name in names}
    for name in names:
        (book / f"{name}.csv").unlink()
    return tables


def ordered(name: str, table: pa.Table) -> pa.Table:
    """In the order of the key, as the database is asked for."""
    return table.sort_by([(key.strip(), "ascending") for key in KEYS[name].split(",")])


def name_sources(book: Path, **sources: Any) -> None:
    """Write [sources] into the book's configuration."""
    lines = []
    for name, source in sources.items():
        if isinstance(source, dict):
            pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in source.items())
            lines.append(f"{name} = {{ {pairs} }}")
        else:
            lines.append(f"{name} = {json.dumps(str(source))}")
    file = book / "margin.toml"
    text = file.read_text(encoding="utf-8").partition("\n[sources]")[0]
    file.write_text(text + "\n[sources]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def parquet(table: pa.Table, path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def read(book: Path) -> gv.Book:
    return gv.read_book(book, gv.Config.load(book / "margin.toml"))


def outputs(book: Path, out: Path) -> dict[str, bytes]:
    """The tables of a run over the book, as bytes."""
    config = gv.Config.load(book / "margin.toml")
    gv.run(gv.read_book(book, config), config, backend="cpu", threads=1).write(out)
    return {name: (out / name).read_bytes() for name in ("margin.parquet", "breakdown.parquet")}


def wrong(book: Path) -> list[str]:
    """What is wrong with the book, as the commands say it."""
    try:
        load(book)
    except InputError as error:
        return str(error).splitlines()
    return []


def notes(book: Path) -> list[str]:
    read_book, *_, findings = load(book)
    return list(dict.fromkeys([*read_book.notes, *findings.notes]))
