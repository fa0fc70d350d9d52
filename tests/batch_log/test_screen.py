"""What those see who wait: a bar on a terminal, lines elsewhere."""

import io
import re
import time

import pytest
from batch_log.watched import silent

from gpu_var.report import progress as module
from gpu_var.report.progress import Bar, Lines, ProgressBar, clock, present, screen


class Screen(io.StringIO):
    def __init__(self, terminal_there):
        super().__init__()
        self.terminal_there = terminal_there

    def isatty(self):
        return self.terminal_there


def on_terminal(monkeypatch, there=True):
    """From within the test: pytest puts its own standard error back after the fixtures."""
    found = Screen(there)
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return found


def shown_in(screen, text):
    deadline = time.monotonic() + 20
    while text not in screen.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    return text in screen.getvalue()


@pytest.mark.parametrize(
    ("there", "wanted", "delay", "bar"),
    [(True, True, 0.0, True), (True, True, 60.0, False), (True, False, 0.0, False), (False, True, 60.0, False)],
    ids=["slow", "quick", "quiet", "quick elsewhere"],
)
def test_a_bar_only_for_those_who_wait_at_a_terminal(monkeypatch, there, wanted, delay, bar):
    screen = on_terminal(monkeypatch, there)
    monkeypatch.setattr(ProgressBar, "DELAY", delay)
    with ProgressBar(wanted) as progress:
        progress("revalue", 0.25)
        if bar:
            assert shown_in(screen, "25 %")
        progress("writing")
    text = screen.getvalue()
    assert ("revalue" in text, "25 %" in text) == (bar, bar)
    assert bool(text) == bar


def test_the_bar_tells_rate_shards_and_time_left(monkeypatch, clock):
    terminal = on_terminal(monkeypatch)
    bar = Bar(delay=0.0)
    watch = silent(bar)
    watch.plan("revalue", 40_000_000, shards=4)
    watch("revalue", 0.0)
    clock.after(5)
    watch.shard("a", "revalue", 10_000_000)
    assert shown_in(terminal, "2 million revaluations/s, shard 1 of 4")
    assert shown_in(terminal, "0:00:15 left")
    watch("measures[bold]")  # names are no markup
    assert shown_in(terminal, "measures[bold]")
    watch.end(0)
    assert terminal.getvalue().endswith("\x1b[2K")  # it has wiped itself out


def test_a_stage_taken_up_again_is_not_over(monkeypatch):
    on_terminal(monkeypatch)
    bar = Bar(delay=0.0)
    watch = silent(bar)
    watch.plan("revalue", 100)
    watch("revalue", 0.5)
    watch("measures", 1.0)
    share = {task.description: task.percentage for task in bar._bar.tasks}
    assert share == {"revalue": 50, "measures": 100}
    watch("revalue", 0.75)
    assert {task.description: task.percentage for task in bar._bar.tasks}["revalue"] == 75
    watch.end(0)


def test_lines_now_and_then(clock, capsys):
    watch = silent(Lines())
    watch("reading")
    clock.after(1)
    assert capsys.readouterr().err == ""
    watch("scenarios", 0.0)
    clock.after(1.5)
    watch.event("tick")
    watch.plan("revalue", 1_000_000_000, shards=10)
    watch("revalue", 0.0)
    for step in range(1, 31):
        clock.after(1)
        watch("revalue", step / 40)
    clock.after(1)
    watch("writing")
    clock.after(1)
    watch.end(0)
    assert capsys.readouterr().err.splitlines() == [
        "progress: reading done in 1.0 s; scenarios 0 %, 0:00:02 so far",
        "progress: scenarios done in 1.5 s; revalue 25 %, 25 million revaluations/s, shard 0 of 10, 0:00:30 left",
        "progress: revalue 50 %, 25 million revaluations/s, shard 0 of 10, 0:00:20 left",
        "progress: revalue 75 %, 25 million revaluations/s, shard 0 of 10, 0:00:10 left",
        "progress: revalue done in 31.0 s; writing done in 1.0 s",
    ]


def test_a_quick_run_says_nothing(clock, capsys):
    watch = silent(Lines())
    for stage in ("reading", "scenarios", "revalue", "writing"):
        watch(stage, 1.0)
        clock.after(0.4)
    watch.end(0)
    assert capsys.readouterr().err == ""


def test_who_shows_what(monkeypatch):
    assert screen(quiet=True) == []
    for there, kind in ((True, Bar), (False, Lines)):
        monkeypatch.setattr("sys.stderr", Screen(there))
        (only,) = screen(quiet=False)
        assert isinstance(only, kind)


def test_words():
    assert clock(3725.4) == "1:02:05"
    watch = silent()
    watch("revalue", 0.129)
    assert re.fullmatch(r"revalue 13 %, 0:00:0\d so far", present(watch.state))
    assert module.rate_of(watch.state) == ""
