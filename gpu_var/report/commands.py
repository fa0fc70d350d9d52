"""What each command does, once its options are parsed; each returns its exit code."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from gpu_var import engine
from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.fingerprint import CONFIG, files_of, hashes, refuse_if_changed, stamps
from gpu_var.batch.folder import Mode, default_out, output_folder, refuse_early, refuse_in_book, write_file
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.outputs import write_csv, writer_for
from gpu_var.batch.run import Run, compute, plan
from gpu_var.market.checks import load
from gpu_var.market.factors import Factors
from gpu_var.report import page
from gpu_var.report.terminal import ProgressBar, show_margins
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import escaped

__all__ = ["Mode", "demo", "price", "run", "validate"]

DONE, SOME_FAILED = 0, 3
_SHOWN = 10


@dataclass(frozen=True)
class Loaded:
    """A book that has been found sound."""

    book: Book
    config: Config
    factors: Factors
    notes: list[str]
    inputs: Mapping[str, str]
    seconds: Mapping[str, float]


def run(
    folder: Path,
    config: Path | None,
    out: Path | None,
    *,
    backend: str,
    precision: str,
    pnl: bool,
    mode: Mode,
    threads: int | None,
    quiet: bool,
) -> int:
    """Margin a book, write the outputs, and show the largest margins."""
    out = default_out(folder) if out is None else out
    refuse_in_book(out, folder)
    thread_count(threads)
    refuse_early(out, mode)
    started = datetime.now(UTC)
    loaded = load_book(folder, config, quiet, hashed=True)
    resolved = resolve_backend(backend, precision)
    asked = plan(loaded.config, loaded.inputs, resolved, precision, pnl)
    begun = False
    try:
        with output_folder(out, mode, asked) as target:
            if target is None:
                say(f"{out} holds this run already, whole: nothing to do", quiet)
                return DONE
            begun = True
            with ProgressBar(not quiet) as progress:
                result = compute(
                    loaded.book,
                    loaded.config,
                    loaded.factors,
                    loaded.notes,
                    loaded.inputs,
                    backend=resolved,
                    precision=precision,
                    threads=threads,
                    started=started,
                    progress=progress,
                    timings=loaded.seconds,
                )
                progress("writing")
                result.write_into(target, pnl, page.render)
    except KeyboardInterrupt:
        if begun:
            print(f"{out} has no new result yet; the same command with --resume finishes it", file=sys.stderr)
        raise
    show_notes(result.notes[len(loaded.notes) :], quiet)
    if not quiet:
        show_margins(result, str(out))
    return _report_failures(result)


def validate(folder: Path, config: Path | None, *, quiet: bool) -> int:
    """Find everything that `run` would find."""
    loaded = load_book(folder, config, quiet)
    book = loaded.book
    counts = {
        "accounts": len(book.accounts.name),
        "positions": len(book.positions.quantity),
        "instruments": len(book.instruments.kind),
        "underlyings": len(book.underlyings.spot),
        "factors": len(loaded.factors.names),
        "dates of history": len(book.history.date),
    }
    listed = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    say(f"{folder} is valid: {listed}", quiet)
    return DONE


def price(folder: Path, config: Path | None, out: Path | None, *, quiet: bool) -> int:
    """Price every instrument, to a file or to standard output."""
    if out is not None:
        write = writer_for(out)
        refuse_in_book(out, folder)
        if out.is_dir():
            raise UsageError(f"--out {out} is a folder; give a file")
    loaded = load_book(folder, config, quiet)
    with ProgressBar(not quiet) as progress:
        progress("pricing")
        table: pa.Table = engine.price(loaded.book, loaded.config)
    if out is None:
        write_csv(table, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        write_file(out, lambda stream: write(table, stream))
        say(f"{table.num_rows:,} instruments priced: {out}", quiet)
    return DONE


def demo(folder: Path, *, overwrite: bool, quiet: bool) -> int:
    """Write the demonstration books and margin them."""
    from gpu_var.demo import write_demo  # noqa: PLC0415 - no other command needs its data

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; give --overwrite to replace an earlier demo, or another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(folder, error) from error
    books = write_demo(folder)
    codes = []
    for book in books:
        say(f"\ngpu-var run {book}", quiet)
        codes.append(
            run(
                Path(book),
                None,
                None,
                backend="auto",
                precision="float64",
                pnl=False,
                mode="overwrite" if overwrite else "new",
                threads=None,
                quiet=quiet,
            )
        )
    reports = "\n".join(f"  {default_out(Path(book)) / 'report.html'}" for book in books)
    say(
        f"\nThe reports, for a browser:\n{reports}\nThe books, as examples of the format: {folder}\n"
        f"Next: change a number in {Path(books[0]) / CONFIG}, and gpu-var run {books[0]} --overwrite",
        quiet,
    )
    return max(codes, default=DONE)


def load_book(folder: Path, config: Path | None, quiet: bool, hashed: bool = False) -> Loaded:
    """Read and check a book; `hashed` also fingerprints what was read."""
    chosen = folder / CONFIG if config is None else config
    begun = time.perf_counter()
    with ProgressBar(not quiet) as progress:
        progress("reading the book")
        before = stamps(files_of(folder, chosen)) if hashed else {}
        book, parsed, factors, findings = load(folder, config)
        read = time.perf_counter()
        inputs: Mapping[str, str] = {}
        if hashed:
            inputs = hashes(book.path, book.files, chosen)
            used = [chosen, *(path for paths in book.files.values() for path in paths)]
            refuse_if_changed(before, stamps(iter(used)), iter(used))
        seconds = {"reading": read - begun, "hashing": time.perf_counter() - read}
    notes = list(dict.fromkeys([*book.notes, *findings.notes]))
    show_notes(notes, quiet)
    return Loaded(book, parsed, factors, notes, inputs, seconds)


def _report_failures(result: Run) -> int:
    failed = result.failed
    if not failed.num_rows:
        return DONE
    print(
        f"error: {failed.num_rows:,} of {result.margin.num_rows:,} accounts failed; the others are written",
        file=sys.stderr,
    )
    for row in failed.slice(0, _SHOWN).to_pylist():
        print(f"error: account {escaped(row['account'])}: {row['status']}", file=sys.stderr)
    if failed.num_rows > _SHOWN:
        print(f"error: … and {failed.num_rows - _SHOWN:,} more", file=sys.stderr)
    return SOME_FAILED


def show_notes(notes: list[str], quiet: bool) -> None:
    """Notes on standard error."""
    if not quiet:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)


def say(text: str, quiet: bool) -> None:
    """A line on standard output."""
    if not quiet:
        print(text)
