"""Two runs on one output folder: the second refuses, and the first does not notice."""

import signal

import pytest
from faults import experiments


@pytest.fixture
def first(runs, out):
    """A run that stands still in the middle, and so still stands there when the second one comes."""
    running = runs.start(out)
    runs.await_begun(running, out)
    running.signal(signal.SIGSTOP)
    assert running.alive()
    return running


def test_the_second_refuses(runs, out, first):
    before = everything(out)
    for mode in ("--resume", "--overwrite"):
        second = runs.start(out, mode).end()
        assert second.returncode == 1
        assert f"{out} is in use by another run (process {first.pid})" in second.said
        assert everything(out) == before
    first.signal(signal.SIGCONT)
    assert first.end().returncode == runs.code
    runs.check_whole(first, out)


def test_the_lock_dies_with_its_process(runs, out, first):
    first.signal(signal.SIGKILL)
    first.end()
    runs.check_left(first, out)
    runs.resume(out)


def test_at_the_same_time(runs, out):
    experiments.two_at_once(runs, out)


def everything(out):
    return {path: path.read_bytes() if path.is_file() else b"" for path in sorted(out.rglob("*"))}
