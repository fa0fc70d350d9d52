"""A wall clock that jumps by hours, forth and back, five times a second."""

import os
import shutil
import subprocess
import sys

import pytest
from faults import experiments


@pytest.fixture(scope="session")
def jumping(tmp_path_factory):
    """The environment of a process whose clock jumps."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed; it builds the clock that jumps")
    return experiments.jumping_clock(tmp_path_factory.mktemp("clock"))


def test_the_clock_does_jump(jumping):
    code = (
        "import datetime, time\nseen = set()\nfor _ in range(20):\n"
        "    seen.add(round(datetime.datetime.now().timestamp() - time.monotonic(), -2))\n    time.sleep(0.05)\n"
        "print(len(seen))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | jumping, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 2


def test_the_tables_are_the_same_bytes(runs, out, jumping):
    experiments.run_with(runs, out, jumping)


def test_a_state_of_another_time_resumes(runs, half, jumping):
    experiments.run_with(runs, half, jumping, "--resume")


def test_workers(runs, out, jumping):
    pytest.importorskip("distributed", reason="distributed is not installed; --workers needs the extra `dask`")
    # Dask measures some of its waiting by the wall clock: a jump every three seconds, as nobody sets clocks oftener.
    seldom = jumping | {"GPU_VAR_CLOCK_MS": "3000"}
    experiments.run_with(runs, out, seldom, *experiments.WORKERS, *experiments.HUNG)
