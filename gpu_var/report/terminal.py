"""What a run says on the terminal."""

import sys
import threading
import time
from types import TracebackType
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gpu_var.batch.run import Run
from gpu_var.report.money import count, decimals, money
from gpu_var.tables.findings import escaped

LARGEST = 10
_NAME = 32  # characters of an account's name
_WHOLE = 1e5  # from here on, cents are noise
_ROOM_FOR_MODEL = 100  # columns
_WIDE = 140  # columns where there is no terminal to ask


def console() -> Console:
    """Standard output; without a terminal, wide enough that no number is cut."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)


def show_margins(run: Run, where: str) -> None:
    """The largest margins, the totals, the throughput, and where the outputs are."""
    out = console()
    out.print(_margins(run, out.width))
    out.print(Text(_throughput(run)))
    out.print(Text(f"outputs: {where}"), soft_wrap=True)


def _margins(run: Run, width: int) -> Table:
    count_all = run.margin.num_rows
    order = pc.sort_indices(run.margin, sort_keys=[("margin", "descending"), ("account", "ascending")])
    rows = run.margin.take(order[:LARGEST]).to_pylist()
    total = {name: pc.sum(run.margin[name]).as_py() or 0.0 for name in _AMOUNTS}
    largest = max((row["margin"] or 0.0 for row in rows), default=0.0)
    places = 0 if largest >= _WHOLE else decimals(largest)
    title = f"The {len(rows)} largest of {count_all:,} margins" if count_all > len(rows) else "Margins"
    table = Table(
        title=f"{title}, in {run.config.base_currency}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_footer=True,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("account", footer=f"all {count_all:,}")  # the one that may shrink
    columns = {name: [money(row[name], places) for row in rows] for name in _AMOUNTS}
    for name, cells in columns.items():
        foot = money(total[name], places)
        table.add_column(
            name, footer=foot, justify="right", no_wrap=True, min_width=max(map(len, [name, foot, *cells]))
        )
    if width >= _ROOM_FOR_MODEL:  # else the scenario's name says it as well
        columns["model"] = [row["core_model"] or "–" for row in rows]
        table.add_column("model", no_wrap=True, min_width=max(map(len, ["model", *columns["model"]])))
    columns["worst scenario"] = [row["worst_scenario"] or "–" for row in rows]
    longest = max(map(len, ["worst scenario", *columns["worst scenario"]]))
    table.add_column("worst scenario", no_wrap=True, min_width=longest)
    for row, *cells in zip(rows, *columns.values(), strict=True):
        table.add_row(Text(escaped(row["account"], _NAME), no_wrap=True, overflow="ellipsis"), *map(Text, cells))
    return table


_AMOUNTS = ("margin", "core", "concentration", "liquidity")


def _throughput(run: Run) -> str:
    revaluations = run.counts.get("revaluations", 0)
    seconds = run.timings.get("revalue", 0.0)
    text = f"{count(revaluations)} revaluations"
    if seconds > 0:
        text += (
            f" in {seconds:.2f} s: {count(revaluations / seconds)} a second on {run.threads} threads ({run.backend})"
        )
    return f"{text}; {sum(run.timings.values()):.2f} s in all"


class ProgressBar:
    """A bar with the time left, a line a stage, on standard error: only on a terminal, and only after two seconds."""

    DELAY = 2.0

    def __init__(self, wanted: bool = True) -> None:
        self._wanted = wanted and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._begun = time.perf_counter()
        self._bar: Progress | None = None
        self._timer: threading.Timer | None = None
        self._shown = False

    def __enter__(self) -> "ProgressBar":
        if self._wanted:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(stderr=True),
                transient=True,
            )
            self._timer = threading.Timer(self.DELAY, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __call__(self, stage: str, fraction: float | None = None) -> None:
        """Stage `stage` has come to `fraction` in [0, 1]; None: it has begun, and cannot tell how far it is."""
        if self._bar is None:
            return
        with self._lock:
            if stage not in self._tasks:
                for task in self._tasks.values():
                    self._bar.update(task, total=1.0, completed=1.0)
                self._tasks[stage] = self._bar.add_task(stage, total=None if fraction is None else 1.0)
            if fraction is not None:
                self._bar.update(self._tasks[stage], total=1.0, completed=fraction)

    def _show(self) -> None:
        with self._lock:
            if self._bar is not None and self._timer is not None:
                self._bar.start()
                self._shown = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._bar is not None and self._shown:
                self._bar.stop()
            self._bar = None
