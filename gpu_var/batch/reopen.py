"""A finished run taken up again: its outputs, and the book and configuration that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gpu_var import __version__
from gpu_var.backend import Name
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.batch.fingerprint import CONFIG, hashes
from gpu_var.batch.finished import facts_of, output_of
from gpu_var.batch.folder import MARGIN, RUN
from gpu_var.batch.host import resolve_backend
from gpu_var.market.checks import check
from gpu_var.market.factors import Factors
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_again import restored
from gpu_var.tables.findings import Findings
from gpu_var.tables.load import read_book
from gpu_var.tables.sources import digests, in_folder

BREAKDOWN = "breakdown.parquet"
_NEEDED = ("book", "backend", "precision", "config", "inputs", "outputs")


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished run and what it was made from, which is the same as then, to the byte."""

    out: Path
    margin: pa.Table
    breakdown: pa.Table
    book: Book
    config: Config
    factors: Factors
    backend: Name  # that can compute here
    precision: str
    precision_then: str  # in which the run was computed
    notes: tuple[str, ...]  # where recomputing may differ from the run in the last digits


def reopen(out: str | Path, book: str | Path | None = None) -> Finished:
    """Read a finished run, and the book that it was made from.

    Args:
        out: the folder of the run.
        book: where the book lies now, if it is no longer where `run.json` says.

    Raises:
        UsageError: `out` holds no finished run, or its book is gone or no longer what it was; the message names what
            has changed.
        InputError: the book does not pass the checks of this version.
    """
    folder = Path(out)
    facts = facts_of(folder, _NEEDED)
    margin, breakdown = (output_of(folder, name, facts["outputs"]) for name in (MARGIN, BREAKDOWN))
    root = _book_of(folder, str(facts["book"]), book)
    config = _config(folder, facts)
    read = read_book(root, config)
    _refuse_if_changed(folder, root, facts["inputs"], hashes(read.path, in_folder(read), None) | digests(read))
    findings = Findings()
    factors = check(read, config, findings)
    findings.raise_if_any()
    assert factors is not None
    backend, precision, notes = _computes(facts)
    then = str(facts["precision"])
    return Finished(folder, margin, breakdown, read, config, factors, backend, precision, then, notes)


def _book_of(out: Path, recorded: str, given: str | Path | None) -> Path:
    """Where the book lies: where it was then, also as seen from the folder that the run's folder lies in."""
    if given is not None:
        return Path(given)
    beside = out.absolute().parent
    for place in (Path(recorded), beside / recorded, beside / Path(recorded).name):
        if place.is_dir():
            return place
    raise UsageError(
        f"{out} was computed from the book {recorded}, which is not there; give --book with where it is now"
    )


def _config(out: Path, facts: Mapping[str, Any]) -> Config:
    """The configuration of the run, every default filled in; so margin.toml itself may have changed since."""
    try:
        return restored(facts["config"])
    except ValueError as error:
        version = facts.get("version", "unknown")
        raise UsageError(
            f"{out / RUN} has a configuration that this version, {__version__}, cannot read (its own: {version}): "
            f"{error}; run again with --overwrite"
        ) from error


def _refuse_if_changed(out: Path, book: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    names = sorted((then.keys() | now.keys()) - {CONFIG})
    changed = [f"  {name}: gone" for name in names if name not in now]
    changed += [f"  {name}: new" for name in names if name not in then]
    changed += [
        f"  {name}: its content has changed"
        for name in names
        if name in then and now.get(name, then[name]) != then[name]
    ]
    if changed:
        shown = "\n".join(changed)
        raise UsageError(
            f"{out} cannot be explained, for the book {book} is no longer the one that it was computed from:\n{shown}\n"
            "give --book with a copy of it as it was, or run again"
        )


def _computes(facts: Mapping[str, Any]) -> tuple[Name, str, tuple[str, ...]]:
    """Who recomputes, and in what numbers: as then where that can be had here, else the cpu in float64."""
    notes = []
    backend, precision = str(facts["backend"]), str(facts["precision"])
    try:
        used = resolve_backend(backend, precision)
    except RunError:
        notes.append(f"computed on {backend} in {precision}, recomputed on the cpu in float64, as there is no GPU here")
        used, precision = "cpu", "float64"
    if facts.get("version") != __version__:
        notes.append(f"computed by version {facts.get('version')}, recomputed by version {__version__}")
    return used, precision, tuple(notes)
