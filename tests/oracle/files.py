"""Writes a book of dictionaries as the product reads it, and reads back what the product wrote."""

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

from oracle.market import moment

TIMES = ("expiry", "date")
Book = dict[str, Any]


def write_book(folder: Path, book: Book, config: dict[str, Any] | None = None, form: str = "csv") -> Path:
    """One file a table in `form` (csv, parquet, arrow), and margin.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in book.items():
        table = rows if isinstance(rows, dict) else columns(rows)
        if form == "csv":
            write_csv(folder / f"{name}.csv", table)
        else:
            arrow = pa.table({key: _array(key, values) for key, values in table.items()})
            (pq.write_table if form == "parquet" else _write_ipc)(arrow, folder / f"{name}.{form}")
    if config is not None:
        (folder / "margin.toml").write_text(toml(config), encoding="utf-8")
    return folder


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return {key: [row.get(key) for row in rows] for key in keys}


def write_csv(path: Path, table: dict[str, list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        for values in zip(*table.values(), strict=True):
            writer.writerow(["" if v is None else v.isoformat() if isinstance(v, date) else v for v in values])


def _array(key: str, values: list[Any]) -> pa.Array:
    if key in TIMES:
        return pa.array([None if v is None else moment(v) for v in values], pa.timestamp("us", "UTC"))
    return pa.array(values)


def _write_ipc(table: pa.Table, path: Path) -> None:
    pyarrow.feather.write_feather(table, path, compression="uncompressed")


def toml(config: dict[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in config.items() if not isinstance(value, dict)]
    for key, value in config.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{name} = {json.dumps(x)}" for name, x in value.items())]
    return "\n".join(lines) + "\n"


def read_pnl(path: Path) -> tuple[list[str], dict[str, list[float]]]:
    """Scenario names and P&L by account of a pnl_MODEL.arrow."""
    table = pyarrow.feather.read_table(path, memory_map=False)
    names = json.loads(table.schema.metadata[b"scenarios"])
    return names, dict(zip(table["account"].to_pylist(), table["pnl"].to_pylist(), strict=True))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()
