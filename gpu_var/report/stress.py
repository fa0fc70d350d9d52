"""`gpu-var stress`: what a clearing house's members lose in stress scenarios, and whether its resources hold."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gpu_var.batch import stress_folder
from gpu_var.batch.folder import default_out, refuse_in_book
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.stress import StressRun, ask, compute, prepare
from gpu_var.report.commands import Loaded, load_book, show_notes
from gpu_var.report.progress import ProgressBar
from gpu_var.report.stress_page import render
from gpu_var.report.stress_source import FACTS, StressSource
from gpu_var.report.stress_terminal import show
from gpu_var.tables.findings import Findings, InputError, escaped

DONE, SOME_FAILED = 0, 3
_SHOWN = 10


def command(
    folder: Path,
    scenarios: Path | None,
    config: Path | None,
    margin: Path | None,
    out: Path | None,
    *,
    overwrite: bool,
    backend: str,
    precision: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Stress-test a book, write tables and a page to the folder `out`, and show the worst scenarios."""
    if out is None:
        beside = default_out(folder)
        out = beside.with_name(f"{beside.name.removesuffix('-margin')}-stress")
    refuse_in_book(out, folder)
    stress_folder.refuse_early(out, overwrite)
    count = thread_count(threads)
    started = datetime.now(UTC)
    findings = Findings()
    asked = ask(folder, scenarios, findings)
    loaded = _loaded(folder, config, quiet, findings)
    with ProgressBar(not quiet) as progress:
        progress("preparing")
        ready = prepare(loaded.book, loaded.config, loaded.factors, asked, margin, findings)
        findings.raise_if_any()
        assert ready is not None
        resolved = resolve_backend(backend, precision)
        with stress_folder.output_folder(out, overwrite) as target:
            run = compute(
                loaded.book,
                loaded.config,
                loaded.factors,
                ready,
                [*loaded.notes, *findings.notes],
                loaded.inputs,
                backend=resolved,
                precision=precision,
                threads=count,
                started=started,
                progress=progress,
                timings=loaded.seconds,
            )
            progress("writing")
            run.write_into(target, page)
    show_notes([note for note in run.notes if note not in loaded.notes], quiet)
    if not quiet:
        show(source_of(run), str(out))
    return _report_failures(run)


def source_of(run: StressRun) -> StressSource:
    """A stress test that has just ended, as page and terminal read it."""
    facts = run.facts()
    return StressSource(run.tables, {key: facts[key] for key in FACTS if key in facts})


def page(run: StressRun) -> str:
    """The page of a stress test."""
    return render(source_of(run))


def _loaded(folder: Path, config: Path | None, quiet: bool, findings: Findings) -> Loaded:
    """The book; what is wrong with it is reported together with what is wrong with the scenarios."""
    try:
        return load_book(folder, config, quiet, hashed=True)
    except InputError as error:
        findings.include(error.findings)
        raise InputError(findings) from None


def _report_failures(run: StressRun) -> int:
    failed: Sequence[tuple[int, str]] = sorted(run.test.failed.items())
    if not failed:
        return DONE
    names = run.test.exposure.measured.book.accounts.name
    print(
        f"error: {len(failed):,} of {len(names):,} accounts failed and are left out; the others are written",
        file=sys.stderr,
    )
    for account, reason in failed[:_SHOWN]:
        print(f"error: account {escaped(names[account].as_py())}: failed: {reason}", file=sys.stderr)
    if len(failed) > _SHOWN:
        print(f"error: … and {len(failed) - _SHOWN:,} more", file=sys.stderr)
    return SOME_FAILED
