"""What is seen of a run while it goes on: a bar on a terminal, else now and then a line, on standard error."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from gpu_var.batch.errors import UsageError
from gpu_var.batch.folder import refuse_in_book
from gpu_var.batch.log import STANDARD_OUTPUT, JsonLog
from gpu_var.batch.metrics import Metrics
from gpu_var.batch.watch import Event, Observer, State, Watch
from gpu_var.report.money import count

DELAY = 2.0
"""Seconds that a run may take before anything is shown."""

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Bar:
    """An observer: a line a stage with a bar, the rate and the time left, shown once the run has taken `delay` seconds.

    It vanishes at the end.
    """

    def __init__(self, delay: float = DELAY) -> None:
        self._delay = delay
        self._tasks: dict[str, TaskID] = {}
        self._shown = False
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            _Share(),
            TextColumn("{task.fields[rate]}", markup=False, table_column=Column(no_wrap=True)),
            _Left(table_column=Column(no_wrap=True)),
            expand=True,
            console=Console(stderr=True),
            transient=True,
        )

    def __call__(self, event: Event) -> None:
        state = event.state
        if state.stage is not None:
            self._update(state.stage, state, ended=event.name == "stage_ended")
        if event.name == "run_ended":
            if self._shown:
                self._bar.stop()
        elif not self._shown and state.elapsed >= self._delay and state.stage is not None:
            self._bar.start()
            self._shown = True

    def _update(self, stage: str, state: State, ended: bool) -> None:
        over = ended and (state.fraction is None or state.fraction >= 1.0)
        total = 1.0 if over or state.fraction is not None else None
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total, rate="", left=None)
        self._bar.update(
            self._tasks[stage],
            total=total,
            completed=1.0 if over else state.fraction or 0.0,
            rate=rate_of(state),
            left=None if over else state.left,
        )


class _Share(TextColumn):
    """The share done, where the stage can tell."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else f"{task.percentage:>3.0f} %")


class _Left(TimeElapsedColumn):
    """The time left; of a stage that is over, or that cannot tell, the time it has taken."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left")
        if left is None or task.finished:
            return super().render(task)
        return Text(f"{clock(left)} left", style="progress.remaining")


class Lines:
    """An observer: once a run has taken `delay`, a line every `every` seconds: the stages done, and the present one.

    For logs of a job, where a bar would only be noise.
    """

    def __init__(self, delay: float = DELAY, every: float = EVERY) -> None:
        self._every = every
        self._next = delay
        self._over: list[str] = []
        self._said = False

    def __call__(self, event: Event) -> None:
        state = event.state
        if event.name == "stage_ended":
            self._over.append(f"{state.stage} done in {state.stage_elapsed:.1f} s")
        ended = event.name == "run_ended"
        if state.stage is None or (not self._said if ended else state.elapsed < self._next):
            return
        parts = [*self._over]
        if not ended and event.name != "stage_ended":
            parts.append(present(state))
        if parts:
            print(f"progress: {'; '.join(parts)}", file=sys.stderr, flush=True)
            self._over.clear()
            self._said = True
            self._next = state.elapsed + self._every


def present(state: State) -> str:
    """The present stage in words: how far it is, how fast, and how long it will take."""
    text = f"{state.stage}"
    if state.fraction is not None:
        text += f" {state.fraction:.0%}".replace("%", " %")
    facts = [rate_of(state), "" if state.left is None else f"{clock(state.left)} left"]
    facts = [fact for fact in facts if fact] or [f"{clock(state.stage_elapsed)} so far"]
    return ", ".join([text, *facts])


def rate_of(state: State) -> str:
    """`12.3 million revaluations/s, shard 3 of 40`, as far as it is known."""
    parts = [] if state.rate is None else [f"{count(state.rate)} {state.unit}/s"]
    if state.shards and state.total is not None:
        parts.append(f"shard {state.shards_done:,} of {state.shards:,}")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """`0:04:10`."""
    return str(timedelta(seconds=round(seconds)))


def screen(quiet: bool, delay: float = DELAY) -> list[Observer]:
    """Who shows a run to those who wait for it: nobody where `quiet`."""
    if quiet:
        return []
    return [Bar(delay) if sys.stderr.isatty() else Lines(delay)]


class ProgressBar(Watch):
    """For the commands that write no log: a bar or lines, if `wanted`. Called with a stage and the share of it done."""

    DELAY = DELAY

    def __init__(self, wanted: bool = True) -> None:
        super().__init__(screen(not wanted, self.DELAY))

    def __enter__(self) -> "ProgressBar":
        super().__enter__()
        return self


def watch_run(
    book: Path,
    out: Path,
    *,
    quiet: bool = False,
    log_json: Path | None = None,
    metrics: Path | None = None,
    **facts: Any,
) -> Watch:
    """The watch of `gpu-var run`: the screen, and the log and the metrics that are asked for.

    `facts` are JSON values for the log's first line. Raises `UsageError` where a file would lie in the book or in the
    output folder, `WriteError` where the log cannot be written.
    """
    shared = str(log_json) == STANDARD_OUTPUT and sys.stdout.isatty()  # lines of the log would run through the bar
    observers = screen(quiet or shared)
    if log_json is not None:
        if str(log_json) != STANDARD_OUTPUT:
            _refuse_inside(log_json, "--log-json", book, out)
        observers.append(JsonLog(log_json))
    if metrics is not None:
        _refuse_inside(metrics, "--metrics", book, out)
        observers.append(Metrics(metrics, out))
    return Watch(observers, book=str(book), out=str(out), **facts)


def _refuse_inside(file: Path, option: str, book: Path, out: Path) -> None:
    refuse_in_book(file, book, option)
    if file.resolve().is_relative_to(out.resolve()):
        raise UsageError(
            f"{option} {file} lies in --out {out}, where a run that is refused changes nothing; choose another"
        )
