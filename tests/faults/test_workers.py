"""Several processes: one that is killed, one that hangs, all of them stopped."""

import random
import signal
import time

import pytest
from faults import experiments
from faults.harness import check_stopped

PATIENCE = 60.0
"""Seconds in which a stopped run has ended even on a machine that does much else."""


@pytest.fixture(scope="session", autouse=True)
def needs_dask(runs):
    pytest.importorskip("distributed", reason="distributed is not installed; --workers needs the extra `dask`")


def test_they_give_the_same_bytes(runs, out):
    experiments.run_with(runs, out, {}, *experiments.WORKERS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["is killed", "hangs"])
def test_one_of_them(runs, out, number):
    experiments.strike_worker(runs, out, number, random.Random(number.name))


def test_the_run_is_killed(runs, out):
    experiments.kill_after(runs, out, 0.5 * runs.seconds, *experiments.WORKERS, begun=True)


# A terminal's Ctrl-C reaches all processes of the group, a batch system's SIGTERM perhaps the first one only.
@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
@pytest.mark.parametrize("shards", [0, 14], ids=["while they start", "while they compute"])
def test_all_of_them_are_stopped(runs, out, number, group, shards):
    running = runs.start(out, *experiments.WORKERS)
    runs.await_begun(running, out)
    runs.await_shards(running, out, shards)
    time.sleep(0.1 * runs.seconds)
    running.signal(number, group)
    ended = running.end(PATIENCE)
    check_stopped(ended.returncode, ended.said, number)
    runs.check_left(running, out)
    runs.resume(out)
