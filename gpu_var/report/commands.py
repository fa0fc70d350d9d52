"""What each command does, once its options are parsed; each returns its exit code."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa

from gpu_var import __version__, engine
from gpu_var.batch.errors import RunError, UsageError, WriteError
from gpu_var.batch.executors import Executor
from gpu_var.batch.fingerprint import CONFIG, files_of, hashes, refuse_if_changed, stamps
from gpu_var.batch.folder import Mode, default_out, output_folder, refuse_early, refuse_in_book, write_file
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.outputs import write_csv, writer_for
from gpu_var.batch.record import WRITING, provenance, recorded
from gpu_var.batch.run import Run, compute, plan
from gpu_var.batch.signals import last_words
from gpu_var.batch.watch import Watch
from gpu_var.market.checks import load
from gpu_var.market.factors import Factors
from gpu_var.report import page
from gpu_var.report.again import previous_run
from gpu_var.report.progress import ProgressBar, watch_run
from gpu_var.report.terminal import show_margins
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import escaped
from gpu_var.tables.sources import changed, digests, in_folder

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
    previous: Path | None = None,
    executor: Executor | None = None,
    log_json: Path | None = None,
    metrics: Path | None = None,
) -> int:
    """Margin a book, write the outputs, and show the largest margins; `executor` computes, by default here."""
    out = default_out(folder) if out is None else out
    refuse_in_book(out, folder)
    how = {"backend": backend, "precision": precision, "mode": mode}
    watch = watch_run(folder, out, quiet=quiet, log_json=log_json, metrics=metrics, version=__version__, **how)
    with watch, last_words(watch.end):
        result = _run(folder, config, out, backend, precision, pnl, mode, threads, quiet, previous, executor, watch)
        if result is not None:
            failed = result.failed
            named = zip(*(failed[name].to_pylist() for name in ("account", "status")), strict=True)
            watch.failed(named, failed.num_rows)
            watch.finish(SOME_FAILED if failed.num_rows else DONE)
    if result is None:
        say(f"{out} holds this run already, whole: nothing to do", quiet or str(log_json) == "-")
        return DONE
    if not quiet and str(log_json) != "-":
        show_margins(result, str(out))
    return _report_failures(result)


def _run(
    folder: Path,
    config: Path | None,
    out: Path,
    backend: str,
    precision: str,
    pnl: bool,
    mode: Mode,
    threads: int | None,
    quiet: bool,
    previous: Path | None,
    executor: Executor | None,
    watch: Watch,
) -> Run | None:
    """The run, written; None where it is there already."""
    count = thread_count(threads)
    refuse_early(out, mode)
    started = datetime.now(UTC)
    loaded = load_book(folder, config, quiet, hashed=True, watch=watch, store=True)
    resolved = resolve_backend(backend, precision)
    before = None if previous is None else previous_run(previous, loaded.config.base_currency)
    asked = plan(loaded.config, loaded.inputs, resolved, precision, pnl)
    begun = False
    try:
        with output_folder(out, mode, asked) as target:
            if target is None:
                return None
            begun = True
            changed = [f"{out / name} is not what the run wrote; the run is computed again" for name in target.changed]
            show_notes(changed, quiet, watch)
            with (
                last_words(partial(_unfinished, out)),
                recorded(target, watch, provenance(asked, resolved, count, folder, started, loaded.notes)),
            ):
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
                    progress=watch,
                    timings=loaded.seconds,
                    store=target.store,
                    executor=executor,
                )
                spoilt = target.store.spoilt
                for name in spoilt:
                    watch.event("shard_spoilt", "warning", shard=name)
                watch(WRITING)
                ended = {"run": watch.run, "state": "finished"}
                result.write_into(target, pnl, partial(page.render, previous=before), ended)
    except KeyboardInterrupt:
        if begun:
            _unfinished(out)
        raise
    show_notes([*result.notes[len(loaded.notes) :], *resumed(result, spoilt)], quiet, watch)
    return result


def _unfinished(out: Path, _exit_code: int = 0) -> None:
    print(f"{out} has no new result yet; the same command with --resume finishes it", file=sys.stderr, flush=True)


def validate(folder: Path, config: Path | None, *, quiet: bool) -> int:
    """Find everything that `run` would find."""
    loaded = load_book(folder, config, quiet, store=True)
    book = loaded.book
    counts = {
        "accounts": len(book.accounts.name),
        "positions": int(book.positions_by_account.sum()),
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


def load_book(
    folder: Path,
    config: Path | None,
    quiet: bool,
    hashed: bool = False,
    watch: Watch | None = None,
    store: bool = False,
) -> Loaded:
    """Read and check a book; `hashed` also fingerprints what was read. Without a `watch`, it shows itself.

    With `store`, positions in Parquet or Arrow are kept in a file and never all in memory: for those who take them a
    few accounts at a time.
    """
    chosen = folder / CONFIG if config is None else config
    begun = time.perf_counter()
    with ProgressBar(not quiet) if watch is None else nullcontext(watch) as progress:
        progress("reading")
        before = stamps(files_of(folder, chosen)) if hashed else {}
        book, parsed, factors, findings = load(folder, config, store=store)
        read = time.perf_counter()
        inputs: Mapping[str, str] = {}
        if hashed:
            progress("hashing")
            own = in_folder(book)
            inputs = hashes(book.path, own, chosen) | digests(book)
            used = [chosen, *(path for paths in own.values() for path in paths)]
            refuse_if_changed(before, stamps(iter(used)), iter(used))
            for path in changed(book):
                raise RunError(f"{path} changed while it was being read; run again when it is whole")
        seconds = {"reading": read - begun, "hashing": time.perf_counter() - read}
    notes = list(dict.fromkeys([*book.notes, *findings.notes]))
    show_notes(notes, quiet, watch)
    return Loaded(book, parsed, factors, notes, inputs, seconds)


def resumed(result: Run, spoilt: Sequence[str]) -> list[str]:
    """What an interrupted run had left. Notes of `run.json` say nothing of it: they are those of an undisturbed run."""
    planned, found = result.shards["planned"], result.shards["found"]
    if not found and not spoilt:
        return []
    anew = f"; {len(spoilt):,} were broken and have been computed anew" if spoilt else ""
    return [f"resumed: {found:,} of {planned:,} shards were there{anew}"]


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


def show_notes(notes: list[str], quiet: bool, watch: Watch | None = None) -> None:
    """Notes on standard error, and to the watch."""
    if watch is not None:
        for note in notes:
            watch.event("note", text=note)
    if not quiet:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)


def say(text: str, quiet: bool) -> None:
    """A line on standard output."""
    if not quiet:
        print(text)
