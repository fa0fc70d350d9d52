"""`gpu-var run` in real processes, watched by its log, its metrics and its run.json."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from datetime import datetime

import pyarrow.parquet as pq
import pytest
from batch_log.test_metrics import samples
from cli.small import replace, tree

STAGES = ["reading", "hashing", "scenarios", "greeks", "revalue", "measures", "writing"]
DRIVER = """
import hashlib, pathlib, sys, time
from gpu_var.batch.watch import Watch
from gpu_var.cli import main

told = Watch.__call__

def disturbed(self, stage, fraction=None):
    told(self, stage, fraction)
    if stage == "revalue" and self.state.stage == stage:
        pathlib.Path(sys.argv[1]).touch()
        {what}

Watch.__call__ = disturbed
sys.exit(main(sys.argv[2:]))
"""
FOR_A_WHILE = "self.waited = getattr(self, 'waited', None) or time.sleep(3) or True"
IN_PYTHON = "time.sleep(120)"
IN_COMPILED_CODE = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"  # holds the main thread for many minutes


@pytest.fixture
def out(tmp_path):
    return tmp_path / "book-margin"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "run.jsonl"


@pytest.fixture
def prom(tmp_path):
    return tmp_path / "run.prom"


@pytest.fixture
def watched(book, log, prom):
    """The arguments of a run that is watched."""
    return ["run", str(book), "--log-json", str(log), "--metrics", str(prom)]


def gpu_var(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "gpu_var", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def disturbed(what, tmp_path, *arguments, number=None):
    """Exit code and standard error of a run that does `what` in the stage `revalue`, and there gets a signal."""
    marker = tmp_path / "computing"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(what=what), str(marker), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if number is not None:
            while not marker.exists() and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, said


def test_log_and_metrics_of_a_run(watched, log, prom, out):
    done = gpu_var(*watched, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = lines(log)
    assert [line["event"] for line in told[:1] + told[-1:]] == ["run_begun", "run_ended"]
    assert [line["stage"] for line in told if line["event"] == "stage_begun"] == STAGES
    assert [line["stage"] for line in told if line["event"] == "stage_ended"] == STAGES
    times = [datetime.fromisoformat(line["time"]) for line in told]
    assert times == sorted(times)
    assert all(when.utcoffset().total_seconds() == 0 for when in times)
    assert {"level", "run", "stage"} <= set.intersection(*(set(line) for line in told))
    facts = json.loads((out / "run.json").read_text())
    assert {line["run"] for line in told} == {facts["run"]}
    assert facts["state"] == "finished"
    notes = [line["text"] for line in told if line["event"] == "note"]
    assert notes == facts["notes"]
    planned = sum(line["shards"] for line in told if line["event"] == "planned")
    shards = [line["shard"] for line in told if line["event"] == "shard_done"]
    assert len(set(shards)) == len(shards) == planned == facts["shards"]["planned"]
    found = samples(prom)
    assert (found["gpu_var_exit_code",], found["gpu_var_running",]) == (0, 0)
    assert found["gpu_var_shards_done",] == found["gpu_var_shards",] == planned
    assert found["gpu_var_revaluations_done",] == found["gpu_var_revaluations",] > 0
    assert {key[1] for key in found if key[0] == "gpu_var_stage_seconds"} == set(STAGES)


def test_the_tables_do_not_depend_on_who_watches(book, watched, out, tmp_path):
    assert gpu_var(*watched, "--pnl").returncode == 0
    assert gpu_var("run", book, "--pnl", "--quiet", "--out", tmp_path / "unwatched").returncode == 0
    one, other = tree(out), tree(tmp_path / "unwatched")
    first, second = json.loads(one.pop("run.json")), json.loads(other.pop("run.json"))
    assert first["run"] != second["run"]
    assert one == other


def test_a_log_on_standard_output_is_all_that_stands_there(book):
    done = gpu_var("run", book, "--log-json", "-")
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1]["exit_code"] == 0
    assert all(line.startswith(("note: ", "progress: ")) for line in done.stderr.splitlines())


def test_failed_accounts_are_told_with_reasons(book, watched, log, prom, out):
    replace(book / "positions.csv", "plain,X,12", "plain,X,1e15")
    replace(book / "instruments.csv", "X,spot,X,1,", "X,spot,X,1e300,")
    assert gpu_var(*watched).returncode == 3
    told = lines(log)
    failed = [line for line in told if line["event"] == "account_failed"]
    rows = pq.read_table(out / "margin.parquet", columns=["account", "status"]).to_pylist()
    expected = {row["account"]: row["status"] for row in rows if row["status"] != "ok"}
    assert {line["account"]: line["reason"] for line in failed} == expected
    assert "plain" in expected
    assert {line["level"] for line in failed} == {"error"}
    assert (told[-1]["exit_code"], told[-1]["accounts_failed"], told[-1]["state"]) == (3, len(expected), "finished")
    assert (samples(prom)["gpu_var_exit_code",], samples(prom)["gpu_var_accounts_failed",]) == (3, len(expected))


def test_bad_input_is_told_and_writes_nothing(book, watched, log, prom, out):
    replace(book / "vols.csv", "0.24", "n/a")
    assert gpu_var(*watched).returncode == 2
    end = lines(log)[-1]
    assert (end["state"], end["exit_code"], end["error"]["kind"]) == ("refused", 2, "InputError")
    assert "'n/a' is not a number" in end["error"]["message"]
    assert samples(prom)["gpu_var_exit_code",] == 2
    assert not out.exists()


def test_a_refusal_leaves_what_is_there(book, watched, log, out):
    assert gpu_var("run", book, "--quiet").returncode == 0
    before = tree(out)
    assert gpu_var(*watched).returncode == 2
    assert "already holds a run" in lines(log)[-1]["error"]["message"]
    assert gpu_var(*watched, "--resume").returncode == 0
    assert tree(out) == before


@pytest.mark.parametrize("option", ["--log-json", "--metrics"])
@pytest.mark.parametrize("place", ["book", "book-margin"])
def test_neither_lies_in_book_or_output(book, tmp_path, option, place):
    before = tree(tmp_path)
    done = gpu_var("run", book, option, tmp_path / place / "file.prom")
    assert done.returncode == 2
    assert f"{option} {tmp_path / place / 'file.prom'}" in done.stderr
    assert tree(tmp_path) == before


def test_an_error_leaves_a_record(watched, log, prom, out, tmp_path):
    code, said = disturbed("raise MemoryError('9 GB')", tmp_path, *watched, "--quiet")
    assert (code, said) == (1, "error: not enough memory: 9 GB\n")
    facts = json.loads((out / ".gpu-var" / "run.json").read_text())
    assert (facts["state"], facts["exit_code"], facts["stage"]) == ("failed", 1, "revalue")
    assert facts["error"] == {"kind": "MemoryError", "message": "9 GB"}
    assert set(facts["timings"]) == set(STAGES[: STAGES.index("revalue") + 1])
    end = lines(log)[-1]
    assert (end["run"], end["state"], end["error"]) == (facts["run"], "failed", facts["error"])
    assert samples(prom)["gpu_var_exit_code",] == 1
    assert [path.name for path in out.iterdir()] == [".gpu-var"]
    assert gpu_var(*watched, "--resume", "--quiet").returncode == 0
    whole = json.loads((out / "run.json").read_text())
    same = facts.keys() & whole.keys() - {"run", "state", "timings", "started", "notes", "shards"}
    assert {"version", "versions", "device", "seeds", "inputs", "config", "host", "threads", "book"} <= same
    assert {key: facts[key] for key in same} == {key: whole[key] for key in same}
    assert not (out / ".gpu-var").exists()


@pytest.mark.parametrize(
    ("number", "code", "what"),
    [
        (signal.SIGINT, 130, IN_PYTHON),
        (signal.SIGTERM, 143, IN_PYTHON),
        (signal.SIGTERM, 143, IN_COMPILED_CODE),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGTERM in compiled code"],
)
def test_an_interruption_leaves_a_record(watched, log, prom, out, tmp_path, number, code, what):
    returned, _ = disturbed(what, tmp_path, *watched, number=number)
    assert returned == code
    facts = json.loads((out / ".gpu-var" / "run.json").read_text())
    assert (facts["state"], facts["exit_code"], facts["stage"]) == ("interrupted", code, "revalue")
    end = lines(log)[-1]
    assert (end["event"], end["state"], end["exit_code"]) == ("run_ended", "interrupted", code)
    assert samples(prom)["gpu_var_exit_code",] == code
    assert gpu_var(*watched, "--resume").returncode == 0
    assert [line["exit_code"] for line in lines(log) if line["event"] == "run_ended"] == [code, 0]
    found = [line["shard"] for line in lines(log) if line["event"] == "shard_found"]
    assert len(found) == json.loads((out / "run.json").read_text())["shards"]["found"]


def test_a_killed_run_says_how_far_it_was(watched, log, prom, out, tmp_path):
    disturbed(IN_PYTHON, tmp_path, *watched, number=signal.SIGKILL)
    facts = json.loads((out / ".gpu-var" / "run.json").read_text())
    assert (facts["state"], facts["stage"]) == ("running", "revalue")
    assert lines(log)[-1]["event"] == "stage_begun"
    found = samples(prom)
    assert found["gpu_var_running",] == 1
    assert ("gpu_var_exit_code",) not in found


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["said", "quiet"])
def test_a_slow_run_says_a_line_where_there_is_no_terminal(book, tmp_path, quiet):
    code, said = disturbed(FOR_A_WHILE, tmp_path, "run", book, *quiet)
    assert code == 0
    told = [line for line in said.splitlines() if line.startswith("progress: ")]
    assert any("revalue 0 %" in line for line in told) == (not quiet)
    assert said == "" if quiet else "\x1b" not in said


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["said", "quiet"])
def test_a_slow_run_shows_a_bar_on_a_terminal(book, tmp_path, quiet):
    reading, writing = pty.openpty()
    command = [
        sys.executable,
        "-c",
        DRIVER.format(what=FOR_A_WHILE),
        str(tmp_path / "marker"),
        "run",
        str(book),
        *quiet,
    ]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writing, env=environment)
    os.close(writing)
    said = b""
    try:
        while chunk := os.read(reading, 4096):
            said += chunk
    except OSError:  # how a terminal tells that nobody writes to it any more
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(reading)
    text = said.decode()
    assert ("revalue" in text, "\x1b[2K" in text) == (not quiet, not quiet)
    assert text == "" if quiet else "scenarios" in text
