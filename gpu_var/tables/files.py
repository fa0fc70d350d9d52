"""The files of a book: which table each one is, and what is left over."""

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from gpu_var.tables.findings import Findings, escaped, listed, nearest, shown
from gpu_var.tables.schema import REQUIRED, TABLES

SUFFIXES = (".parquet", ".arrow", ".csv")
CONFIG = "margin.toml"
SCENARIOS = "scenarios.toml"


@dataclass(frozen=True)
class Files:
    """Each table's files, and the tables that are missing or have files that cannot be used."""

    of: dict[str, tuple[Path, ...]]  # those of a folder of positions in order of name
    refused: frozenset[str]


def find_files(
    book: Path,
    findings: Findings,
    required: tuple[str, ...] = REQUIRED,
    elsewhere: frozenset[str] = frozenset(),
    used: frozenset[str] = frozenset(),
) -> Files:
    """The files of each table of a book. Links are followed.

    Tables that come from `elsewhere` have none here; names that match a pattern of `used` are read for such tables.

    Findings: no such folder, a required table missing, two files for one table, a misspelt name, a link to nothing.
    """
    try:
        entries = sorted(book.iterdir(), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        text = f"{error.strerror or error}; expected a folder that holds the book's tables"
        findings.error(shown(str(book)), text, kind="book")
        return Files({}, frozenset(TABLES))
    by_table: dict[str, list[Path]] = {}
    others: list[Path] = []
    unread: list[str] = []
    for entry in entries:
        if any(fnmatchcase(entry.name, pattern) for pattern in used):
            continue
        if entry.stem in TABLES and (entry.suffix in SUFFIXES or entry.name == "positions"):
            if entry.stem in elsewhere:
                unread.append(entry.name)
                continue
            by_table.setdefault(entry.stem, []).append(entry)
        elif entry.name not in (CONFIG, SCENARIOS):
            others.append(entry)
    ignored, refused = _name_others(others, by_table, findings, required)
    files: dict[str, tuple[Path, ...]] = {}
    for table, paths in by_table.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            findings.error(table, f"{len(paths)} files for one table ({names}); expected one", kind="files")
        elif parts := _parts(table, paths[0], findings, ignored):
            files[table] = parts
    if ignored:
        findings.note(f"ignored files: {listed(ignored)}")
    if unread:
        findings.note(f"ignored files, as [sources] names their tables: {listed(unread)}")
    return Files(files, frozenset(refused | (by_table.keys() - files.keys())))


def _name_others(
    others: list[Path], by_table: dict[str, list[Path]], findings: Findings, required: tuple[str, ...]
) -> tuple[list[str], set[str]]:
    """Findings for misspelt and for missing tables; returns the names of the other files, and those tables."""
    ignored, refused = [], set()
    hints: dict[str, str] = {}
    for entry in others:
        table = _meant(entry)
        if table is None:
            ignored.append(entry.name)
        elif table in required and table not in by_table:
            hints.setdefault(table, entry.name)
        else:
            refused |= {table} - by_table.keys()
            findings.error(escaped(entry.name), f"no table of a book; did you mean {table}?", kind="name")
    for table in required:
        if table not in by_table:
            found = f"; there is {shown(hints[table])}: names are exact and lower case" if table in hints else ""
            text = f"missing{found}; expected {table}.parquet, {table}.arrow or {table}.csv"
            findings.error(table, text, kind="missing")
            refused.add(table)
    return ignored, refused


def _meant(entry: Path) -> str | None:
    """The table that a file's name misspells; None where it is another file."""
    if entry.suffix.lower() not in SUFFIXES and (entry.suffix or not entry.is_dir()):
        return None
    if entry.stem.lower() in TABLES:
        return entry.stem.lower()
    return nearest(entry.stem, TABLES)


def _parts(table: str, path: Path, findings: Findings, ignored: list[str]) -> tuple[Path, ...]:
    """The files of one table: the file itself, or the parts in a folder; none, and a finding, where it is neither."""
    if not path.exists():
        findings.error(path.name, "a link to nothing; expected a file", kind="file")
    elif path.is_file():
        if path.suffix:
            return (path,)
        findings.error(path.name, "a file without a suffix; expected .parquet, .arrow, .csv or a folder", kind="file")
    elif not path.is_dir():
        findings.error(path.name, "neither a file nor a folder", kind="file")
    elif path.suffix or table != "positions":
        findings.error(path.name, "a folder; expected a file (parts go into a folder named positions)", kind="file")
    else:
        parts = []
        for part in sorted(path.iterdir(), key=lambda part: os.fsencode(part.name)):
            if part.suffix == ".parquet" and part.is_file():
                parts.append(part)
            elif part.name.startswith((".", "_")):  # such as _SUCCESS, which the writers of parts leave behind
                ignored.append(f"{path.name}/{part.name}")
            else:
                text = "not a Parquet file; expected nothing but parts in Parquet here"
                findings.error(path.name, text, place=f"{path.name}/{part.name}", kind="part")
        if not parts:
            findings.error(path.name, "a folder without parts; expected files in Parquet", kind="empty")
        return tuple(parts)
    return ()
