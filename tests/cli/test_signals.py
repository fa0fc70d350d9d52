"""Ctrl-C and SIGTERM, in real processes."""

import signal
import subprocess
import sys
import time

import pytest
from cli.small import tree

from gpu_var.cli import main

DRIVER = """
import hashlib, pathlib, sys, time
from gpu_var.batch import run as batch
from gpu_var.cli import main

def endless(*_args, **_more):
    pathlib.Path(sys.argv[1]).touch()
    {waiting}

batch.requirement = endless
sys.exit(main(sys.argv[2:]))
"""
WAITING = {
    "in Python": "time.sleep(120)",
    "in compiled code": "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",  # holds the main thread for many minutes
}


def stopped_by(number, book, tmp_path, waiting, *more):
    marker = tmp_path / "computing"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(waiting=WAITING[waiting]), str(marker), "run", str(book), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not marker.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    marker.unlink()
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_resumes_to_the_same_bytes(book, tmp_path, number, code):
    out = tmp_path / "book-margin"
    assert main(["run", str(book), "--quiet", "--out", str(tmp_path / "straight")]) == 0
    returned, said = stopped_by(number, book, tmp_path, "in Python")
    assert returned == code
    assert f"stopped by {number.name}" in said
    assert "--resume finishes it" in said
    assert "Traceback" not in said
    assert [path.name for path in out.iterdir()] == [".gpu-var"]
    assert main(["run", str(book), "--quiet", "--resume"]) == 0
    resumed, straight = tree(out), tree(tmp_path / "straight")
    resumed.pop("run.json"), straight.pop("run.json")
    assert resumed == straight


def test_compiled_code_is_no_refuge(book, tmp_path):
    returned, said = stopped_by(signal.SIGTERM, book, tmp_path, "in compiled code")
    assert returned == 143
    assert "stopped by SIGTERM" in said
    assert "--resume finishes it" in said
    assert main(["run", str(book), "--quiet", "--resume"]) == 0


def test_overwrite_stopped_half_way_leaves_the_old_run(book, tmp_path):
    out = tmp_path / "book-margin"
    assert main(["run", str(book), "--quiet"]) == 0
    before = tree(out)
    returned, _ = stopped_by(signal.SIGINT, book, tmp_path, "in Python", "--overwrite")
    assert returned == 130
    after = tree(out)
    assert {name: after[name] for name in before} == before


def test_the_handlers_are_put_back(book):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(["validate", str(book), "--quiet"]) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
