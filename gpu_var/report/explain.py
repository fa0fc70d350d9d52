"""`gpu-var explain`: why an account's margin is what it is, on the terminal and as a page."""

import sys
from pathlib import Path

from gpu_var.batch.errors import UsageError
from gpu_var.batch.explain import FailedAccountError
from gpu_var.batch.explain import explain as explained
from gpu_var.batch.folder import refuse_in_book, write_file
from gpu_var.report.explain_page import render
from gpu_var.report.explain_terminal import show
from gpu_var.report.progress import ProgressBar

__all__ = ["explain"]

DONE, SOME_FAILED = 0, 3
_SUFFIXES = (".html", ".htm")


def explain(
    out: Path,
    account: str,
    *,
    against: Path | None,
    html: Path | None,
    top: int,
    book: Path | None,
    against_book: Path | None,
    threads: int | None,
    quiet: bool,
) -> int:
    """Show why an account's margin is what it is and, with `against`, why it has changed; also as a page, `html`."""
    if html is not None:
        _refuse_target(html)
    try:
        with ProgressBar(not quiet) as progress:
            found = explained(
                out,
                account,
                against,
                top=top,
                book=book,
                against_book=against_book,
                threads=threads,
                progress=progress,
            )
    except FailedAccountError as error:
        print(f"error: {error}", file=sys.stderr)
        return SOME_FAILED
    if html is not None:
        for inputs in found.books:
            refuse_in_book(html, inputs, "--html")
        text = render(found).encode()
        write_file(html, lambda stream: stream.write(text))
    if not quiet:
        show(found)
        if html is not None:
            print(f"page: {html}")
    return DONE


def _refuse_target(html: Path) -> None:
    if html.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--html {html} does not end in .html; give a file that does")
    if html.is_dir():
        raise UsageError(f"--html {html} is a folder; give a file")
    if not html.absolute().parent.is_dir():
        raise UsageError(f"--html {html}: its folder {html.absolute().parent} does not exist; make it first")
