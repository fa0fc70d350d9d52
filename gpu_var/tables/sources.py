"""Tables that come from elsewhere than the book's folder: [sources] of the configuration.

Whatever a source is, it becomes files that lie here: then it is read, checked and streamed like any other table.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import unquote

from gpu_var.tables.book import Book
from gpu_var.tables.config_sources import Source, Sources
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings, listed
from gpu_var.tables.schema import TABLES
from gpu_var.tables.source_files import Fetched, Halt, Spool, stamp

_GLANCE = 0.1  # seconds


def fetch(sources: Sources | None, book: Path, findings: Findings) -> dict[str, Fetched]:
    """Fetch every table that [sources] names; those that cannot be are findings.

    Args:
        sources: None: there are none.
        book: the folder that relative paths are seen from.

    Raises:
        OSError: what is fetched cannot be written to the folder of temporary files.
    """
    if sources is None or not sources.named:
        return {}
    spool, halt = Spool(), Halt()
    # In a thread of its own: a driver may wait long for a server, and signals are for the main thread, which is free.
    pool = ThreadPoolExecutor(1, "gpu-var-sources")
    try:
        fetched = pool.submit(_fetch, sources.named, book, findings, spool, halt)
        while not wait([fetched], _GLANCE).done:
            pass  # a signal that another thread received is seen when this one moves
        return fetched.result()
    except BaseException:
        halt.call()
        spool.remove()
        raise
    finally:
        pool.shutdown(wait=False)


def _fetch(named: Mapping[str, Source], book: Path, findings: Findings, spool: Spool, halt: Halt) -> dict[str, Fetched]:
    # Each drags in packages that a book without sources does not need.
    from gpu_var.tables.source_database import fetch_queries  # noqa: PLC0415
    from gpu_var.tables.source_objects import fetch_files  # noqa: PLC0415

    queries = {name: (TABLES[name], source) for name, source in named.items() if source.database is not None}
    found = fetch_queries(queries, book, spool, findings, halt)
    for name, source in named.items():
        if source.database is None:
            files = fetch_files(TABLES[name], source, book, spool, findings, halt)
            if files is not None:
                found[name] = files
    return {name: found[name] for name in named if name in found}


def names_in(sources: Sources | None, book: Path) -> frozenset[str]:
    """Names in the book's folder, as patterns, that hold sources."""
    root = os.path.abspath(book)  # noqa: PTH100 - links stay
    names = set()
    for source in (sources.named if sources is not None else {}).values():
        uri = source.uri or os.environ.get(source.variable, "")
        if source.database == "postgresql" or ("://" in uri and not uri.startswith("file://")):
            continue
        path = os.path.abspath(Path(root) / unquote(uri.removeprefix("file://")))  # noqa: PTH100
        if path.startswith(f"{root}{os.sep}"):
            names.add(path[len(root) + 1 :].partition(os.sep)[0])
    return frozenset(names)


def in_folder(book: Book) -> dict[str, tuple[Path, ...]]:
    """The files, by table, of those tables that come from the book's folder."""
    return {table: files for table, files in book.files.items() if table not in book.sources}


def digests(book: Book) -> dict[str, str]:
    """SHA-256, by the name that run.json gives it, of every file and answer that does not come from the folder.

    Of an object the SHA-256 of its bytes; of a query's answer that of its content (`source_answer.Digest`).
    """
    return {name: digest for source in book.sources.values() for name, digest in source.digests.items()}


def changed(book: Book) -> list[Path]:
    """Local files of sources that were replaced since they were hashed. What was copied cannot be."""
    return [
        file
        for source in book.sources.values()
        for file, before in source.stamps.items()
        if not file.exists() or stamp(file) != before
    ]


def check_sources(named: Sources | None, book: Book, findings: Findings, broken: frozenset[str]) -> None:
    """A finding where a book was read without the sources that the configuration names, or with others.

    Those of `broken` tables could not be fetched, which is a finding already.
    """
    wanted = set(named.named if named else ()) - broken
    given = set(book.sources) - broken
    if wanted != given:
        text = f"names {listed(sorted(wanted)) or 'none'}, but the book was read with {listed(sorted(given)) or 'none'}"
        findings.error(CONFIG, f"{text}; expected read_book(path, config)", place=f"{CONFIG}, key sources")
