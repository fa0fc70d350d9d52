"""`gpu-var bench`: what this machine does, on its CPU and on its GPU, and which is worth it."""

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.folder import write_file
from gpu_var.batch.host import device, thread_count
from gpu_var.benchmark.plan import bench
from gpu_var.report import bench_page
from gpu_var.report.bench_words import FUNCTION, one_thread, rate, seconds, share
from gpu_var.report.progress import ProgressBar
from gpu_var.report.terminal import console

DONE = 0
FILES = ("bench.json", "bench.html")
_SIDES = {"cpu": "one core", "cuda": "GPU, float64", "cuda_float32": "GPU, float32"}


def command(out: Path, *, threads: int | None, budget: float, quiet: bool) -> int:
    """Measure, write bench.json and bench.html into `out`, and show the tables; an earlier benchmark is replaced."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder")
    if not 5.0 <= budget <= 3600.0:
        raise UsageError(f"--seconds {budget:g}; expected 5 to 3600")
    count = thread_count(threads)
    with ProgressBar(not quiet) as progress:
        result = bench(count, device("cpu"), progress, budget=budget)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(out, error) from error
    texts = (json.dumps(result, indent=1, allow_nan=False) + "\n", bench_page.render(result))
    for name, text in zip(FILES, texts, strict=True):
        write_file(out / name, lambda stream, text=text: stream.write(text.encode()))  # type: ignore[misc]
    if not quiet:
        show(result)
        console().print(Text(f"output: {' '.join(str(out / name) for name in FILES)}"), soft_wrap=True)
    return DONE


def show(result: dict[str, Any]) -> None:
    """The tables and the verdict, on standard output."""
    out = console()
    machine = result["machine"]
    out.print(Text(f"{machine['cpu']}, {machine['threads']} threads, {machine['memory_gb']:g} GB"))
    out.print(Text(machine["device"]["gpu"] if "device" in machine else f"no GPU: {result['no_gpu']}"))
    out.print(_functions(result))
    out.print(_books(result))
    out.print(Text(result["verdict"]))


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _functions(result: dict[str, Any]) -> Table:
    table = _table("A function on its own")
    table.add_column("function")
    sides = [side for side in _SIDES if side in result["functions"]]
    for side in sides:
        table.add_column(f"{_SIDES[side]}, a second", justify="right")
        table.add_column("of its ceiling", justify="right")
        if side != "cpu":
            table.add_column("largest error", justify="right")
    by_name = {side: {row["function"]: row for row in result["functions"][side]} for side in sides}
    for name in by_name["cpu"]:
        cells = []
        for side in sides:
            row = by_name[side].get(name)
            cells += ["–", "–"] if row is None else [rate(row["per_second"]), share(row)]
            if side != "cpu":
                error = None if row is None else row["largest_error"]
                cells.append("–" if error is None else f"{error:.1e}")
        table.add_row(FUNCTION.get(name, name), *cells)
    return table


def _books(result: dict[str, Any]) -> Table:
    gpu = "device" in result["machine"]
    table = _table("Whole books: revaluation, accounts, tails")
    for heading in ("options", "scenarios", "accounts"):
        table.add_column(heading, justify="right")
    table.add_column(f"{result['machine']['threads']} threads", justify="right")
    table.add_column("one thread", justify="right")
    for heading in ("GPU", "cold", "transfers", "kernels", "difference") if gpu else ():
        table.add_column(heading, justify="right")
    for row in result["books"]:
        cells = [f"{row[key]:,}" for key in ("instruments", "scenarios", "accounts")]
        cells.append(seconds(row["cpu"]))
        cells.append(one_thread(row["cpu"]))
        if gpu:
            of = row["cuda"]
            cells.append(seconds(of))
            cells += [f"{of[key]:.3g} s" if key in of else "–" for key in ("cold", "transfers", "kernels")]
            cells.append(f"{row['largest_difference']:.1e}" if "largest_difference" in row else "–")
        table.add_row(*cells)
    return table
