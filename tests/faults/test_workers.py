"""Several processes: one that is killed, one that hangs, all of them stopped."""

import random
import signal

import pytest
from faults import experiments

PATIENCE = 60.0


@pytest.fixture(scope="session", autouse=True)
def needs_dask(runs):
    pytest.importorskip("distributed", reason="distributed is not installed; --workers needs the extra `dask`")


def test_they_give_the_same_bytes(runs, out):
    experiments.run_with(runs, out, {}, *experiments.WORKERS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["is killed", "hangs"])
def test_one_of_them(runs, out, number):
    experiments.strike_worker(runs, out, number, random.Random(number.name))


def test_the_run_is_killed(runs, out):
    experiments.kill_after(runs, out, 1.5 * runs.seconds, *experiments.WORKERS)


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_all_of_them_are_stopped(runs, out, number, group):
    taken = experiments.stop_after(runs, out, number, 0.3 * runs.seconds, *experiments.WORKERS, group=group)
    assert taken < PATIENCE
