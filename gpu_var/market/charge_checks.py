"""What the tables of the charges and a book must agree on."""

from collections.abc import Mapping

from gpu_var.tables.book import Book
from gpu_var.tables.config_charges import Options
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings, listed, nearest, shown


def check_options(book: Book, options: Options, findings: Findings) -> None:
    """Names of underlyings in [options], as `check_names`."""
    check_names(book, {name: f"options.underlyings.{name}" for name in options.underlyings}, "options", findings)


def check_names(book: Book, keys: Mapping[str, str], table: str, findings: Findings) -> None:
    """A finding for an underlying's name that is a misspelling of one in the book; a note for others that it lacks.

    They are no findings, for one configuration may serve several books.

    Args:
        keys: name -> the key of the configuration that names it.
        table: of the configuration.
    """
    names = [name for name in book.underlyings.name.to_pylist() if name is not None]
    unknown = []
    for name, key in keys.items():
        near = None if name in names else nearest(name, names)
        if near:
            text = f"{shown(name)} is not in underlyings; the nearest one there is {shown(near)}"
            findings.error(CONFIG, text, place=f"{CONFIG}, key {key}", kind=f"{table} {name}")
        elif name not in names:
            unknown.append(name)
    if unknown:
        findings.note(f"{CONFIG}: [{table}] names underlyings that the book does not have: {listed(sorted(unknown))}")
