"""The command line: what may be asked for. What is then done stands in `gpu_var.report.commands`, imported only when
something is to be done, so that `--help` answers at once."""

import io
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gpu_var import __version__
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.batch.signals import end_process_within, last_words, stoppable

DONE, ERROR, BAD_INPUT = 0, 1, 2
_UNWIND = 1.0  # seconds that the threads of an interrupted run have to finish their tile


class Backend(StrEnum):
    """Who computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """In what numbers."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


@dataclass
class Request:
    """What the command line asks for."""

    work: Callable[[], int] | None = None
    debug: bool = False


app = typer.Typer(
    name="gpu-var",
    help="Portfolio margin by filtered historical simulation and Monte Carlo with full revaluation of option books.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Book = Annotated[Path, typer.Argument(metavar="BOOK", help="Folder with the tables of the book.", show_default=False)]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Configuration, in place of BOOK/margin.toml.", show_default=False)
]
BackendChoice = Annotated[Backend, typer.Option("--backend", help="What to compute on.")]
PrecisionChoice = Annotated[Precision, typer.Option("--precision", help="float32 is a mode of the CUDA kernels.")]
Threads = Annotated[
    int | None, typer.Option("--threads", help="Threads to compute with.  [default: every core]", show_default=False)
]
TableFile = Annotated[
    Path | None,
    typer.Option("--out", help="Also write the table: a file ending in .csv, .parquet or .arrow.", show_default=False),
]
Previous = Annotated[
    Path | None,
    typer.Option("--previous", help="Folder of an earlier run: the report shows the change.", show_default=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command("run", epilog="Example: gpu-var run book --out margins --pnl")
def _run(
    context: typer.Context,
    book: Book,
    config: ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the outputs.  [default: BOOK-margin beside the book]", show_default=False
        ),
    ] = None,
    backend: BackendChoice = Backend.AUTO,
    precision: PrecisionChoice = Precision.FLOAT64,
    pnl: Annotated[bool, typer.Option("--pnl", help="Also write every account's P&L in every scenario.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Finish an interrupted run with the same inputs.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --out holds.")] = False,
    previous: Previous = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Processes of this machine to compute on, by Dask.", show_default=False),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Dask scheduler to compute on, tcp://HOST:PORT.", show_default=False),
    ] = None,
    shard_timeout: Annotated[
        float | None,
        typer.Option(
            "--shard-timeout",
            help="Seconds after which a worker is taken to hang, and its shard given to another.  [default: 1800]",
            show_default=False,
        ),
    ] = None,
    threads: Threads = None,
    log_json: Annotated[
        Path | None,
        typer.Option(
            "--log-json",
            metavar="FILE",
            help="Append a log to FILE, a JSON object a line; - is standard output.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            "--metrics", metavar="FILE", help="Keep Prometheus metrics in FILE, ending in .prom.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Margin every account; write tables and a report."""

    def work() -> int:
        from gpu_var.batch.dask_executor import executor  # noqa: PLC0415
        from gpu_var.batch.host import thread_count  # noqa: PLC0415
        from gpu_var.report import commands  # noqa: PLC0415 - the numerical packages are slow to import

        def say(text: str) -> None:
            commands.show_notes([text], quiet)

        if resume and overwrite:
            raise UsageError("--resume and --overwrite exclude each other: give one of them")
        mode: commands.Mode = "resume" if resume else "overwrite" if overwrite else "new"
        return commands.run(
            book,
            config,
            out,
            backend=backend.value,
            precision=precision.value,
            pnl=pnl,
            mode=mode,
            previous=previous,
            executor=executor(workers, scheduler, shard_timeout, threads, thread_count(None), say),
            threads=threads,
            quiet=quiet,
            log_json=log_json,
            metrics=metrics,
        )

    _ask(context, work, debug)


@app.command("validate", epilog="Example: gpu-var validate book")
def _validate(
    context: typer.Context, book: Book, config: ConfigFile = None, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Find everything wrong with a book; write nothing."""

    def work() -> int:
        from gpu_var.report import commands  # noqa: PLC0415

        return commands.validate(book, config, quiet=quiet)

    _ask(context, work, debug)


@app.command("price", epilog="Example: gpu-var price book --out prices.csv")
def _price(
    context: typer.Context,
    book: Book,
    config: ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File ending in .csv, .parquet or .arrow.  [default: CSV on standard output]",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Price every instrument of a book, with its Greeks."""

    def work() -> int:
        from gpu_var.report import commands  # noqa: PLC0415

        return commands.price(book, config, out, quiet=quiet)

    _ask(context, work, debug)


@app.command("report", epilog="Example: gpu-var report book-margin --previous yesterday-margin")
def _report(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished run.", show_default=False)],
    previous: Previous = None,
    html: Annotated[
        Path | None,
        typer.Option("--out", help="File for the page.  [default: OUT/report.html]", show_default=False),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the page of a finished run again, also with what has changed since another run."""

    def work() -> int:
        from gpu_var.report.again import report  # noqa: PLC0415

        return report(out, previous=previous, html=html, quiet=quiet)

    _ask(context, work, debug)


@app.command("explain", epilog="Example: gpu-var explain book-margin ACCOUNT --against yesterday-margin")
def _explain(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a finished run.", show_default=False)],
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose margin.", show_default=False)],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Folder of an earlier run, to explain the change.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page to this file.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option("--top", help="Rows of each table.")] = 5,
    book: Annotated[
        Path | None, typer.Option("--book", help="Where the run's book lies now.", show_default=False)
    ] = None,
    against_book: Annotated[
        Path | None, typer.Option("--against-book", help="Where the earlier run's book lies now.", show_default=False)
    ] = None,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Why an account's margin is what it is: scenarios, contributions, and the change from an earlier run."""

    def work() -> int:
        from gpu_var.report.explain import explain  # noqa: PLC0415

        return explain(
            out,
            account,
            against=against,
            html=html,
            top=top,
            book=book,
            against_book=against_book,
            threads=threads,
            quiet=quiet,
        )

    _ask(context, work, debug)


@app.command("what-if", epilog="Example: gpu-var what-if book ACCOUNT trades.csv")
def _what_if(
    context: typer.Context,
    book: Book,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Who would trade.", show_default=False)],
    trades: Annotated[
        Path,
        typer.Argument(
            metavar="TRADES", help="File with the columns instrument and quantity (> 0 bought).", show_default=False
        ),
    ],
    config: ConfigFile = None,
    out: TableFile = None,
    backend: BackendChoice = Backend.AUTO,
    precision: PrecisionChoice = Precision.FLOAT64,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What an account must post before and after some trades."""

    def work() -> int:
        from gpu_var.report import what_if  # noqa: PLC0415

        return what_if.command(
            book,
            account,
            trades,
            config,
            out,
            backend=backend.value,
            precision=precision.value,
            threads=threads,
            quiet=quiet,
        )

    _ask(context, work, debug)


@app.command("compare", epilog="Example: gpu-var compare book --out compare.parquet")
def _compare(
    context: typer.Context,
    book: Book,
    config: ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File ending in .parquet, .csv or .arrow, or a folder.  [default: BOOK-compare.parquet and .html]",
            show_default=False,
        ),
    ] = None,
    backend: BackendChoice = Backend.AUTO,
    precision: PrecisionChoice = Precision.FLOAT64,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The same accounts position by position, under Reg T, from one pool, fully collateralised, and as a portfolio."""

    def work() -> int:
        from gpu_var.report import compare  # noqa: PLC0415

        return compare.command(
            book, config, out, backend=backend.value, precision=precision.value, threads=threads, quiet=quiet
        )

    _ask(context, work, debug)


@app.command("procyclicality", epilog="Example: gpu-var procyclicality book --every 5")
def _procyclicality(
    context: typer.Context,
    book: Book,
    config: ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File ending in .parquet, .csv or .arrow.  [default: BOOK-procyclicality.parquet beside the book]",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option("--days", help="Rows of history to go back.  [default: all that can be used]", show_default=False),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", help="Rows from one date to the next.  [default: by the work]", show_default=False),
    ] = None,
    backend: BackendChoice = Backend.AUTO,
    precision: PrecisionChoice = Precision.FLOAT64,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """How much the margin of today's book would have risen and fallen through the history, and what tames it."""

    def work() -> int:
        from gpu_var.report import procyclicality  # noqa: PLC0415

        return procyclicality.command(
            book,
            config,
            out,
            days=days,
            every=every,
            backend=backend.value,
            precision=precision.value,
            threads=threads,
            quiet=quiet,
        )

    _ask(context, work, debug)


@app.command("stress", epilog="Example: gpu-var stress book --scenarios scenarios.toml")
def _stress(
    context: typer.Context,
    book: Annotated[
        Path | None, typer.Argument(metavar="BOOK", help="Folder with the tables of the book.", show_default=False)
    ] = None,
    scenarios: Annotated[
        Path | None,
        typer.Option(
            "--scenarios",
            metavar="FILE",
            help="Scenarios and resources.  [default: BOOK/scenarios.toml, else all scenarios that ship]",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    margin: Annotated[
        Path | None,
        typer.Option(
            "--margin",
            metavar="RUN",
            help="Folder of a finished run over the same book, whose margins are taken.  [default: compute them]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the outputs.  [default: BOOK-stress beside the book]", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the stress test that --out holds.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the scenarios that ship, and end.")] = False,
    backend: BackendChoice = Backend.AUTO,
    precision: PrecisionChoice = Precision.FLOAT64,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What members lose beyond their margin in stress scenarios, whether the resources hold, and what breaks them."""

    def work() -> int:
        if listed:
            from gpu_var.report import stress_list  # noqa: PLC0415

            return stress_list.command()
        if book is None:
            raise UsageError("BOOK is missing; give the folder of a book, or --list for the scenarios that ship")
        from gpu_var.report import stress  # noqa: PLC0415

        return stress.command(
            book,
            scenarios,
            config,
            margin,
            out,
            overwrite=overwrite,
            backend=backend.value,
            precision=precision.value,
            threads=threads,
            quiet=quiet,
        )

    _ask(context, work, debug)


@app.command("preset", epilog="Example: gpu-var preset span > my-margin.toml")
def _preset(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which one.  [default: list them]", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """List the presets, or print one: a configuration to copy, or to name by `preset` in margin.toml."""

    def work() -> int:
        from gpu_var.report import presets  # noqa: PLC0415

        return presets.command(name)

    _ask(context, work, debug)


@app.command("demo", epilog="Example: gpu-var demo")
def _demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder for the books and margins.")] = Path(
        "gpu-var-demo"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo in DIR.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write two books of real option markets, and margin them."""

    def work() -> int:
        from gpu_var.report import commands  # noqa: PLC0415

        return commands.demo(folder, overwrite=overwrite, quiet=quiet)

    _ask(context, work, debug)


@app.command("bench", epilog="Example: gpu-var bench --out my-machine")
def _bench(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder for bench.json and bench.html.")] = Path("gpu-var-bench"),
    seconds: Annotated[
        float, typer.Option("--seconds", help="After so many no other measurement begins, 5 to 3600.")
    ] = 100.0,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure this machine: the CPU and, where there is one, the GPU, side by side on the same books."""

    def work() -> int:
        from gpu_var.report import bench  # noqa: PLC0415

        return bench.command(out, threads=threads, budget=seconds, quiet=quiet)

    _ask(context, work, debug)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gpu-var {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _ask(context: typer.Context, work: Callable[[], int], debug: bool) -> None:
    request = context.obj
    assert isinstance(request, Request)
    request.work, request.debug = work, debug


def main(argv: list[str] | None = None) -> int:
    """Do what the command line `argv` (by default that of the process) asks for, and return the exit code.

    0 done; 2 bad input or usage, found before anything is computed; 3 some accounts failed, the others are written;
    130 and 143 stopped by SIGINT and SIGTERM; 1 anything else.
    """
    request = Request()
    if isinstance(sys.stdout, io.TextIOWrapper):  # identifiers are any text, and the terminal's encoding may lack some
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(args=argv, prog_name="gpu-var", obj=request)
    except SystemExit as end:  # how Typer ends: after parsing, after --help, or with what is wrong with the usage
        code = end.code if isinstance(end.code, int) else DONE if end.code is None else ERROR
        if code != DONE or request.work is None:
            return code
    assert request.work is not None
    code = _do(request.work, request.debug)
    if argv is None and code > 128:
        _remove_spools(code)
        end_process_within(_UNWIND, code)
    return code


def _do(work: Callable[[], int], debug: bool) -> int:
    try:
        with stoppable(), last_words(_remove_spools):
            code = work()
        sys.stdout.flush()
        return code
    except BaseException as error:
        code, message = _outcome(error)
        if debug:
            traceback.print_exc()
        elif code == ERROR and message.startswith(_UNEXPECTED):
            message += "; --debug shows where"
        if message:
            print(message, file=sys.stderr)
        return code


def _remove_spools(_code: int) -> None:
    """Remove what was fetched, for the process may end without unwinding."""
    files = sys.modules.get("gpu_var.tables.source_files")  # if it is not there, nothing was fetched
    if files is not None:
        files.remove_spools()


def _outcome(error: BaseException) -> tuple[int, str]:
    """The exit code of what went wrong, and how it is told."""
    from gpu_var.tables.findings import InputError  # noqa: PLC0415

    code, message = ERROR, f"error: {error}"
    match error:
        case InputError():
            code, message = BAD_INPUT, str(error)
        case UsageError():
            code = BAD_INPUT
        case RunError():
            pass
        case KeyboardInterrupt():
            code, message = getattr(error, "exit_code", 130), str(error) or "stopped by SIGINT"
        case BrokenPipeError():  # whoever read standard output has gone, as in `gpu-var price book | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            message = ""
        case MemoryError():
            message = "error: not enough memory" + (f": {error}" if str(error) else "")
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message = f"error: {where}{error.strerror or error}"
        case Exception():
            message = f"{_UNEXPECTED} {type(error).__name__}: {error}"
        case _:
            raise error
    return code, message


_UNEXPECTED = "error: unexpected"
