"""`gpu-var report`: the page of a run that ended some time ago, made again from its folder."""

import json
from functools import partial
from pathlib import Path

from gpu_var.batch.errors import UsageError
from gpu_var.batch.fingerprint import sha256
from gpu_var.batch.finished import facts_of
from gpu_var.batch.folder import RUN, refuse_early, refuse_in_book, write_file
from gpu_var.batch.outputs import write_json
from gpu_var.report.movement import refuse_other_currency
from gpu_var.report.page import render_source
from gpu_var.report.source import Source, read

__all__ = ["previous_run", "report"]

PAGE = "report.html"
DONE = 0
_SUFFIXES = (".html", ".htm")


def report(out: Path, *, previous: Path | None, html: Path | None, quiet: bool) -> int:
    """Write the page of the run in `out`, there or to `html`, with what has changed since the run in `previous`.

    Raises `UsageError` where a folder holds no finished run, where the two runs are in different currencies, or where
    `html` is no place for a page; `InUseError` where another run is writing to `out`.
    """
    target = out / PAGE if html is None else html
    if html is not None:
        _refuse_target(html)
    if html is None:
        refuse_early(out, "overwrite")  # another run may be about to replace it
    source = read(out)
    before = None if previous is None else previous_run(previous, source.currency)
    refuse_in_book(target, Path(facts_of(out, ("book",))["book"]))
    text = render_source(source, before).encode()
    write_file(target, lambda stream: stream.write(text))
    if target.resolve() == (out / PAGE).resolve():
        _enter(out)
    if not quiet:
        print(f"page: {target}")
    return DONE


def previous_run(out: Path, currency: str) -> Source:
    """The run to compare with. Raises `UsageError` where `out` holds none, or one in another base currency."""
    try:
        source = read(out)
    except UsageError as error:
        raise UsageError(f"--previous: {error}") from error
    refuse_other_currency(source, currency)
    return source


def _enter(out: Path) -> None:
    """The page's new hash in `run.json`, whose outputs are what lies in the folder."""
    facts = json.loads((out / RUN).read_text(encoding="utf-8"))
    facts["outputs"][PAGE] = sha256(out / PAGE)
    write_file(out / RUN, partial(write_json, facts))


def _refuse_target(html: Path) -> None:
    if html.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--out {html} does not end in .html; give a file that does")
    if html.is_dir():
        raise UsageError(f"--out {html} is a folder; give a file")
    if not html.absolute().parent.is_dir():
        raise UsageError(f"--out {html}: its folder {html.absolute().parent} does not exist; make it first")
