"""`gpu-var procyclicality`: the margin of a constant book through history, as calculated and under each option."""

import sys
from pathlib import Path

import pyarrow as pa
from rich import box
from rich.table import Table
from rich.text import Text

from gpu_var.batch.errors import UsageError
from gpu_var.batch.folder import default_out, refuse_in_book, write_file
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.outputs import writer_for
from gpu_var.margin.constant_book import MarginPath, margin_path, path_rows, usual_every
from gpu_var.margin.cyclicality_metrics import RISES, path_table, summary_table
from gpu_var.report import procyclicality_page
from gpu_var.report.commands import DONE, SOME_FAILED, load_book, show_notes
from gpu_var.report.money import count, decimals, money
from gpu_var.report.progress import ProgressBar
from gpu_var.report.terminal import console
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import escaped

_SHOWN = 10
_WHOLE = 1e5  # from here on, cents are noise


def command(
    folder: Path,
    config: Path | None,
    out: Path | None,
    *,
    days: int | None,
    every: int | None,
    backend: str,
    precision: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Take a constant book through history; write its margins, their summary and a page, and show the total's figures.

    `out` names the table of margins; NAME-summary of the same suffix and NAME.html stand beside it.
    """
    if out is None:
        margins = default_out(folder)
        out = margins.with_name(f"{margins.name.removesuffix('-margin')}-procyclicality.parquet")
    write = writer_for(out)
    refuse_in_book(out, folder)
    summary_file, page_file = _beside(out)
    for file in (out, summary_file, page_file):
        if file.is_dir():
            raise UsageError(f"--out {out}: {file} is a folder; give another file")
    for name, value in (("--every", every), ("--days", days)):
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}; expected at least 1")
    count_threads = thread_count(threads)
    loaded = load_book(folder, config, quiet)
    resolved = resolve_backend(backend, precision)
    if loaded.config.fhs is None and loaded.config.monte_carlo is None:
        raise UsageError("the margin does not follow history; expected a table [fhs] or [monte_carlo] in margin.toml")
    every = every or usual_every(loaded.book, loaded.config, loaded.factors, days)
    _refuse_short(loaded.book, loaded.config, len(path_rows(loaded.book, loaded.config, loaded.factors, days, every)))
    with ProgressBar(not quiet) as progress:
        path = margin_path(
            loaded.book,
            loaded.config,
            loaded.factors,
            days=days,
            every=every,
            backend=resolved,
            precision=precision,
            threads=count_threads,
            progress=progress,
        )
        progress("writing")
        accounts = loaded.book.accounts.name
        table, summary = path_table(path, accounts), summary_table(path, accounts)
        text = procyclicality_page.render(path, summary, loaded.book, loaded.config, loaded.notes + path.notes)
        write_file(out, lambda stream: write(table, stream))
        write_file(summary_file, lambda stream: write(summary, stream))
        write_file(page_file, lambda stream: stream.write(text.encode()))
    show_notes(path.notes, quiet)
    if not quiet:
        _show(path, summary, loaded.config, [out, summary_file, page_file])
    return _report_failures(path, loaded.book)


def _beside(out: Path) -> tuple[Path, Path]:
    return out.with_name(f"{out.stem}-summary{out.suffix}"), out.with_name(f"{out.stem}.html")


def _refuse_short(book: Book, config: Config, dates: int) -> None:
    """Raise `UsageError` where history is too short for a path."""
    if dates < 2:
        models = {"fhs": config.fhs, "monte_carlo": config.monte_carlo}
        longest = max(model.lookback for model in models.values() if model is not None)
        raise UsageError(
            f"{dates} date{'' if dates == 1 else 's'} on the path; expected 2 or more: a longer history than "
            f"{len(book.history.date):,} rows, a shorter lookback than {longest:,}, a smaller --every, or more --days"
        )


def _show(path: MarginPath, summary: pa.Table, config: Config, files: list[Path]) -> None:
    total = summary.slice(0, len(path.margin)).to_pylist()
    places = 0 if max(row["peak"] for row in total) >= _WHOLE else decimals(max(row["peak"] for row in total))
    table = Table(
        title=f"Total margin of a constant book, in {config.base_currency}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("method", no_wrap=True)
    for heading in ("last", "trough", "peak", "peak/trough", *(f"{n}-day rise" for n in RISES)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in total:
        amounts = [money(row[name], places) for name in ("last", "trough", "peak")]
        rises = [percent(row[f"rise_{n}d"]) for n in RISES]
        table.add_row(row["method"], *amounts, ratio(row["peak_to_trough"]), *rises)
    out = console()
    out.print(table)
    first, last = (procyclicality_page.day(at) for at in path.date[[0, -1]])
    rows = "row" if path.every == 1 else f"{path.every:,} rows"
    out.print(
        Text(f"{len(path.date):,} dates, every {rows} of history from {first} to {last}; ")
        + Text(f"{count(path.revaluations)} revaluations")
    )
    if any(n % path.every for n in RISES):
        out.print(Text(f"–: not measured with --every {path.every}; --every 1 measures every rise"))
    for file in files:
        out.print(Text(f"output: {file}"), soft_wrap=True)


def ratio(value: float | None) -> str:
    """`3.01`; a dash for none."""
    return "–" if value is None else f"{value:,.2f}"


def percent(value: float | None) -> str:
    """`63.9 %`; a dash for none."""
    return "–" if value is None else f"{100.0 * value:,.1f} %"


def _report_failures(path: MarginPath, book: Book) -> int:
    if not path.failed:
        return DONE
    print(
        f"error: {len(path.failed):,} of {len(book.accounts.name):,} accounts failed; the others are written",
        file=sys.stderr,
    )
    for account, reason in list(path.failed.items())[:_SHOWN]:
        print(f"error: account {escaped(book.accounts.name[account].as_py())}: failed: {reason}", file=sys.stderr)
    if len(path.failed) > _SHOWN:
        print(f"error: … and {len(path.failed) - _SHOWN:,} more", file=sys.stderr)
    return SOME_FAILED
