"""What [scan] and a book must agree on."""

from gpu_var.tables.book import Book
from gpu_var.tables.config_scan import Scan
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings, listed, nearest, shown


def check_scan(book: Book, scan: Scan, findings: Findings) -> None:
    """Findings: an underlying's name that is a misspelling of one in the book; a relative range of a price of 0.

    Note: names that the book does not have, for one configuration may serve several books.
    """
    names = [name for name in book.underlyings.name.to_pylist() if name is not None]
    unknown = []
    for name, key in scan.names().items():
        if name in names:
            continue
        near = nearest(name, names)
        if near:
            text = f"{shown(name)} is not in underlyings; the nearest one there is {shown(near)}"
            findings.error(CONFIG, text, place=f"{CONFIG}, key {key}", kind=f"scan {name}")
        else:
            unknown.append(name)
    if unknown:
        findings.note(f"{CONFIG}: [scan] names underlyings that the book does not have: {listed(sorted(unknown))}")
    if scan.price_range_in == "relative":
        for u, name in enumerate(names):
            if book.underlyings.normal[u] and book.underlyings.spot[u] == 0.0:
                text = f"'relative' makes the range of {shown(name)} 0, as its spot is; expected 'absolute'"
                findings.error(CONFIG, text, place=f"{CONFIG}, key scan.price_range_in", kind="scan zero")
