"""A stop while something is fetched: soon, whatever the server does, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gpu_var.tables.source_files import Halt, HaltedError, Spool, remove_spools

STUCK = """
import hashlib, sys
from gpu_var.cli import _do
from gpu_var.tables.source_files import Spool

def work():
    kept.append(Spool())
    (kept[0].path / "copy").touch()
    print("fetched", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # holds the main thread for many minutes

kept = []
sys.exit(_do(work, False))
"""


def test_a_server_that_does_not_cancel_is_not_waited_for():
    halt, answered = Halt(), threading.Event()

    def cancel():
        answered.wait(60)
        ended.set()

    ended = threading.Event()
    with halt.cancelling(cancel):
        halt.call()
        assert not ended.is_set()
    answered.set()
    assert ended.wait(60)
    with pytest.raises(HaltedError):
        halt.check()


def test_what_is_cancelled_has_heard_of_it_when_the_halt_returns():
    halt, heard = Halt(), []
    with halt.cancelling(lambda: heard.append(True)):
        halt.call()
        assert heard == [True]


def test_a_file_that_comes_while_its_folder_goes_goes_too(monkeypatch):
    spool = Spool()
    (spool.path / "first").touch()
    rmdir = os.rmdir

    def late(path, **more):
        monkeypatch.setattr(os, "rmdir", rmdir)
        (spool.path / "second").touch()
        rmdir(path, **more)

    monkeypatch.setattr(os, "rmdir", late)
    spool.remove()
    assert not spool.path.exists()


def test_all_spools_of_a_process_go_at_once():
    spools = [Spool(), Spool()]
    remove_spools()
    assert not any(spool.path.exists() for spool in spools)


def test_a_process_that_is_ended_where_it_stands_leaves_no_copy(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", STUCK]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "fetched\n"
            assert list(tmp_path.iterdir())
            time.sleep(0.1)  # into the compiled code
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == "stopped by SIGINT\n"
    assert list(tmp_path.iterdir()) == []
