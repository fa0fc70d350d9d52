"""Shards on Dask workers: the bytes are those of one process, whoever is lost on the way."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from batch.batch_books import outputs, run

from gpu_var.batch import cluster
from gpu_var.batch.dask_executor import Dask, executor
from gpu_var.batch.errors import RunError, UsageError
from gpu_var.batch.telling import Telling

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

SAID = []


@pytest.fixture(autouse=True)
def said():
    """The notes of an executor."""
    SAID.clear()
    return SAID


def on(workers=None, scheduler=None, timeout=60.0):
    return executor(workers, scheduler, timeout, None, 2, SAID.append)


def after_shards(number, monkeypatch, act):
    """`act` once so many shards are done."""
    real, count = Telling.done, 0

    def done(self, shard, **facts):
        nonlocal count
        count += 1
        if count == number:
            act()
        real(self, shard, **facts)

    monkeypatch.setattr(Telling, "done", done)


@contextlib.contextmanager
def seen(processes, workers=2):
    """An executor's client, whose workers' process ids are noted."""
    with cluster.started(workers, "cpu", SAID.append) as client:
        processes.update(client.run(os.getpid))
        yield client


def restarted(address):
    """Whether it was said: the worker has ended no shard for a while, or does not hand its results over."""
    return any(note.startswith(f"worker {address} ") and note.endswith("is restarted") for note in SAID)


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bytes(book, tmp_path, undisturbed, workers):
    assert run(book, tmp_path / "out", executor=on(workers)) == 0
    assert outputs(tmp_path / "out") == undisturbed
    assert SAID == []


def test_a_scheduler_that_is_there_already(book, tmp_path, undisturbed):
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as there:
        assert run(book, tmp_path / "out", executor=on(scheduler=there.scheduler_address)) == 0
        assert len(there.scheduler.workers) == 2
    assert outputs(tmp_path / "out") == undisturbed


def test_what_is_there_is_not_computed_again(book, tmp_path, undisturbed, monkeypatch):
    out, done = tmp_path / "out", []

    def stop():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        after_shards(9, patch, stop)
        with pytest.raises(KeyboardInterrupt):
            run(book, out, executor=on(2))
    after_shards(1, monkeypatch, lambda: done.append(True))
    assert run(book, out, "resume", executor=on(2)) == 0
    assert outputs(out) == undisturbed
    assert 5 <= json.loads((out / "run.json").read_text())["shards"]["found"] <= 9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_a_worker_is_lost(book, tmp_path, undisturbed, monkeypatch, number):
    processes = {}
    after_shards(7, monkeypatch, lambda: os.kill(next(iter(processes.values())), number))
    workers = Dask(lambda _backend: seen(processes), 1, 4.0, SAID.append)
    assert run(book, tmp_path / "out", executor=workers) == 0
    assert outputs(tmp_path / "out") == undisturbed
    if number == signal.SIGSTOP:
        assert restarted(next(iter(processes)))


def test_the_only_worker_is_killed(book, tmp_path, undisturbed, monkeypatch):
    """The market that was sent to it is lost with it."""
    processes = {}
    after_shards(7, monkeypatch, lambda: os.kill(next(iter(processes.values())), signal.SIGKILL))
    workers = Dask(lambda _backend: seen(processes, 1), 1, 60.0, SAID.append)
    assert run(book, tmp_path / "out", executor=workers) == 0
    assert outputs(tmp_path / "out") == undisturbed


def test_every_worker_hangs(book, tmp_path, undisturbed, monkeypatch):
    """What they have computed is lost with them, and so is the market."""
    processes = {}
    after_shards(7, monkeypatch, lambda: [os.kill(process, signal.SIGSTOP) for process in processes.values()])
    workers = Dask(lambda _backend: seen(processes), 1, 4.0, SAID.append)
    assert run(book, tmp_path / "out", executor=workers) == 0
    assert outputs(tmp_path / "out") == undisturbed
    assert all(restarted(address) for address in processes)


def test_the_scheduler_falls_silent(book, tmp_path, undisturbed, monkeypatch):
    """As when the clock is set back while Dask waits to send what it was given."""
    real, kept = distributed.Client._send_to_scheduler, []

    def send(self, message):
        if message["op"] == "update-graph" and (not kept or self is kept[0]):
            kept.append(self)
            if len(kept) > 5:
                return
        real(self, message)

    monkeypatch.setattr(distributed.Client, "_send_to_scheduler", send)
    assert run(book, tmp_path / "out", executor=on(2, timeout=3.0)) == 0
    assert outputs(tmp_path / "out") == undisturbed
    assert "the Dask scheduler has had nothing computed for 3 s; once more, over another connection" in SAID


def test_a_machine_that_is_too_busy_to_close_the_cluster(book, tmp_path, undisturbed, monkeypatch):
    monkeypatch.setattr(cluster, "_CLOSE", 1e-6)
    assert run(book, tmp_path / "out", executor=on(2)) == 0
    assert outputs(tmp_path / "out") == undisturbed


def test_workers_keep_their_memory(monkeypatch):
    """Dask would have them give every array back to the system, and spend a third of the time on page faults."""
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with cluster.started(1, "cpu", SAID.append) as client:
        (environment,) = client.run(lambda: dict(os.environ)).values()
    assert "MALLOC_TRIM_THRESHOLD_" not in environment
    assert environment["OPENBLAS_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "1"


def test_workers_end_with_the_run_that_is_killed(book, tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "from batch import batch_books, test_dask\n"
        "from gpu_var.batch import telling\n"
        "if __name__ == '__main__':\n"
        "    processes = {}\n"
        "    def done(*_args, **_more):\n"
        "        print(*processes.values(), flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
        "    telling.Telling.done = done\n"
        "    workers = test_dask.Dask(lambda _backend: test_dask.seen(processes), 1, 60.0, print)\n"
        "    batch_books.run(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), executor=workers)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(script), str(book), str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    workers = [int(number) for number in done.stdout.split()]
    assert len(workers) == 2
    limit = time.monotonic() + 30.0
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < limit
        time.sleep(0.05)


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_shard_that_fails_ends_the_run(book, tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_var.batch.dask_executor.versions", lambda: {"gpu-var": "0.0.0"})
    with pytest.raises(RunError, match=r"the run \{'gpu-var': '0\.0\.0'\}; expected the same versions everywhere"):
        run(book, tmp_path / "out", executor=on(1))
    assert threading.active_count() < 50


def test_no_scheduler_answers(book, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT", 1.0)
    with pytest.raises(RunError, match="no Dask scheduler answers there"):
        run(book, tmp_path / "out", executor=on(scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(RunError, match="no Dask scheduler answers there"):
        run(book, tmp_path / "out", "resume", executor=on(scheduler="no address"))


def test_a_scheduler_without_workers(book, tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
        ) as there,
        pytest.raises(RunError, match="there has been no worker for 1 s"),
    ):
        run(book, tmp_path / "out", executor=on(scheduler=there.scheduler_address, timeout=1.0))
    assert SAID == ["waiting for a worker"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((2, "tcp://x:1", None), "--workers and --scheduler exclude each other"),
        ((0, None, None), "--workers 0; expected at least 1"),
        ((1, None, 0.0), "--shard-timeout 0.0; expected seconds > 0"),
        ((None, None, 5.0), "--shard-timeout goes with --workers or --scheduler"),
    ],
)
def test_options_that_make_no_sense(options, says):
    with pytest.raises(UsageError, match=says):
        executor(*options, None, 2, print)


def test_without_options_this_process_computes():
    assert executor(None, None, None, None, 2, print) is None


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"pip install 'gpu-var\[dask\]'"):
        executor(2, None, None, None, 2, print)
