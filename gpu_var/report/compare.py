"""`gpu-var compare`: the accounts of a book under other ways to margin them."""

import math
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.table import Table
from rich.text import Text

from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.fingerprint import CONFIG
from gpu_var.batch.folder import default_out, refuse_in_book, write_file
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.outputs import SUFFIXES, writer_for
from gpu_var.margin.compare import METHODS, Comparison, broad_index, compare, totals_of
from gpu_var.report.commands import load_book, show_notes
from gpu_var.report.compare_page import NAMES, WHOLE, percent, render
from gpu_var.report.money import decimals, money
from gpu_var.report.progress import ProgressBar
from gpu_var.report.terminal import console
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_compare import Compare
from gpu_var.tables.findings import Findings, escaped

DONE, SOME_FAILED = 0, 3
LARGEST = 10
_SHOWN = 10
_NAME = 32  # characters of an account's name


def command(
    folder: Path,
    config: Path | None,
    out: Path | None,
    *,
    backend: str,
    precision: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Margin the accounts under every method; write the table and a page, and show the largest.

    `out` is a file ending in one of `SUFFIXES`, with a page of the same name beside it, or a folder for compare.parquet
    and compare.html.
    """
    if out is None:
        margin = default_out(folder)
        out = margin.with_name(f"{margin.name.removesuffix('-margin')}-compare.parquet")
    refuse_in_book(out, folder)
    inside = out.suffix not in SUFFIXES or out.is_dir()
    file = out / "compare.parquet" if inside else out
    page_file = file.with_suffix(".html")
    write = writer_for(file)
    for one in (file, page_file):
        if one.is_dir():
            raise UsageError(f"--out {out}: {one} is a folder; give another name")
    if inside and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file of no known kind; give a folder, or a file in {', '.join(SUFFIXES)}")
    count = thread_count(threads)
    loaded = load_book(folder, config, quiet)
    _refuse_unknown(loaded.book, loaded.config, (folder / CONFIG if config is None else config).name)
    resolved = resolve_backend(backend, precision)
    with ProgressBar(not quiet) as progress:
        result = compare(
            loaded.book,
            loaded.config,
            loaded.factors,
            backend=resolved,
            precision=precision,
            threads=count,
            progress=progress,
        )
        progress("writing")
        notes = list(dict.fromkeys([*loaded.notes, *result.notes]))
        text = render(result.table, loaded.config, notes)
        if inside:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WriteError(out, error) from error
        write_file(file, lambda stream: write(result.table, stream))
        write_file(page_file, lambda stream: stream.write(text.encode()))
    show_notes([note for note in notes if note not in loaded.notes], quiet)
    if not quiet:
        _show(result, loaded.config, [file, page_file])
    return _report_failures(result.table)


def _refuse_unknown(book: Book, config: Config, name: str) -> None:
    """Raise `InputError` where [compare] names what the book does not have."""
    try:
        broad_index(book, (config.compare or Compare()).reg_t)
    except ValueError as error:
        findings = Findings()
        key, _, text = str(error).partition(": ")
        findings.error(name, escaped(text), place=f"{name}, key {key}")
        findings.raise_if_any()


def _show(result: Comparison, config: Config, files: list[Path]) -> None:
    order = pc.sort_indices(result.table, sort_keys=[("portfolio", "descending"), ("account", "ascending")])
    rows = result.table.take(order[:LARGEST]).to_pylist()
    total = totals_of(result.table)
    largest = max([one.margin for one in total] + [row[m] or 0.0 for row in rows for m in METHODS])
    places = 0 if largest >= WHOLE else decimals(largest)
    n = result.table.num_rows
    title = f"The {len(rows)} largest of {n:,} accounts" if n > len(rows) else "Accounts"
    table = Table(
        title=f"{title}: the margin under each method, in {config.base_currency}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_footer=True,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("account", footer=f"all {n:,}")
    for one in total:
        cells = [money(row[one.method], places) for row in rows]
        foot = money(one.margin, places)
        heading = NAMES[one.method]
        width = max(map(len, [*heading.split(), foot, *cells]))
        table.add_column(heading, footer=foot, justify="right", min_width=width)
    reg_t = next(one for one in total if one.method == "reg_t")
    own = next(one for one in total if one.method == "portfolio")
    table.add_column("saving vs Reg T style", footer=percent(reg_t.saving), justify="right")
    table.add_column("margin / equity", footer=percent(own.utilisation), justify="right")
    for row in rows:
        table.add_row(
            Text(escaped(row["account"], _NAME), no_wrap=True, overflow="ellipsis"),
            *(money(row[method], places) for method in METHODS),
            percent(row["saving_vs_reg_t"]),
            percent(row["utilisation_portfolio"]),
        )
    out = console()
    out.print(table)
    saved = [f"{percent(one.saving)} less than {NAMES[one.method]}" for one in total if one is not own]
    if any(math.isfinite(one.saving) for one in total):
        out.print(Text(f"The portfolio method asks for {', '.join(saved[:-1])} and {saved[-1]}"))
    for file in files:
        out.print(Text(f"output: {file}"), soft_wrap=True)


def _report_failures(table: pa.Table) -> int:
    failed = table.filter(pc.not_equal(table["status"], "ok"))
    if not failed.num_rows:
        return DONE
    print(f"error: {failed.num_rows:,} of {table.num_rows:,} accounts failed; the others are written", file=sys.stderr)
    for row in failed.slice(0, _SHOWN).to_pylist():
        print(f"error: account {escaped(row['account'])}: {row['status']}", file=sys.stderr)
    if failed.num_rows > _SHOWN:
        print(f"error: … and {failed.num_rows - _SHOWN:,} more", file=sys.stderr)
    return SOME_FAILED
