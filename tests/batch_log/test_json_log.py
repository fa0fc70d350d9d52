"""The log, line by line."""

import json
import os

import pytest
from batch_log.watched import silent

from gpu_var.batch import log
from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.log import JsonLog
from gpu_var.batch.watch import Watch


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def test_a_line_says_when_what_and_how_far(clock, tmp_path):
    file = tmp_path / "log.jsonl"
    watch = silent(JsonLog(file))
    watch.plan("revalue", 1000, shards=2)
    watch("revalue", 0.0)
    clock.after(4)
    watch.shard("c0-g1", "revalue", 500)
    told = {line["event"]: line for line in lines(file)}
    assert list(told) == ["run_begun", "planned", "stage_begun", "shard_done"]
    assert all(line["run"] == watch.run and line["time"].endswith("Z") for line in told.values())
    shard = told["shard_done"]
    assert (shard["stage"], shard["shard"], shard["level"]) == ("revalue", "c0-g1", "info")
    assert {key: shard[key] for key in ("done", "total", "unit", "rate", "left")} == {
        "done": 500,
        "total": 1000,
        "unit": "revaluations",
        "rate": 125.0,
        "left": 4.0,
    }


def test_progress_is_told_now_and_then(clock, tmp_path):
    file = tmp_path / "log.jsonl"
    watch = silent(JsonLog(file))
    for step in range(100):
        watch("revalue", step / 100)
        clock.after(1)
    told = [line for line in lines(file) if line["event"] == "progress"]
    assert [line["fraction"] for line in told] == [step / 100 for step in range(10, 100, 10)]


def test_time_passes_though_a_stage_says_nothing(clock, tmp_path):
    file = tmp_path / "log.jsonl"
    watch = silent(JsonLog(file))
    watch("reading")
    for _ in range(60):
        clock.after(0.5)
        watch.event("tick")
    assert [line["event"] for line in lines(file)] == ["run_begun", "stage_begun", *["progress"] * 3]


def test_no_secret_is_ever_written(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "hunter22")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    file = tmp_path / "log.jsonl"
    with Watch([JsonLog(file)], book="s3://AKIA:topsecret1@bucket/book") as watch:
        watch.event("note", text="login hunter22 failed at postgresql://bob:swordfish@host/db?sslmode=require")
        watch.event("worker_lost", "warning", more=[{"why": "wJalrXUtnFEMI"}], dsn="host=h password=opensesame user=u")
    text = file.read_text()
    for secret in ("hunter22", "wJalrXUtnFEMI", "topsecret1", "swordfish", "opensesame"):
        assert secret not in text
    assert "bob" in text
    assert "bucket/book" in text


def test_an_account_comes_back_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "house")
    file = tmp_path / "log.jsonl"
    name = '\u202e"house"\n日本\\'
    silent(JsonLog(file)).failed([(name, "failed: no")], 1)
    line = lines(file)[-1]
    assert (line["account"], line["reason"], line["level"]) == (name, "failed: no", "error")


def test_runs_may_share_a_file(tmp_path):
    file = tmp_path / "log.jsonl"
    runs = []
    for _ in range(2):
        with Watch([JsonLog(file)]) as watch:
            watch("reading")
        runs.append(watch.run)
    assert [line["run"] for line in lines(file) if line["event"] == "run_ended"] == runs


def test_standard_output(tmp_path, capfd):
    with Watch([JsonLog("-")]) as watch:
        watch("reading")
    said = capfd.readouterr()
    assert [json.loads(line)["event"] for line in said.out.splitlines()] == [
        "run_begun",
        "stage_begun",
        "stage_ended",
        "run_ended",
    ]
    assert said.err == ""


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        JsonLog(tmp_path)
    with pytest.raises(WriteError, match="nowhere"):
        JsonLog(tmp_path / "nowhere" / "log.jsonl")


def test_a_reader_that_goes_away_ends_the_log_alone(monkeypatch, capsys, tmp_path):
    reading, writing = os.pipe()
    file = JsonLog(tmp_path / "log")
    file._descriptor = writing
    os.close(reading)
    with Watch([file]) as watch:
        watch("reading")
    os.close(writing)
    assert "Broken pipe; the run goes on without it" in capsys.readouterr().err


def test_what_is_no_json_is_refused(tmp_path):
    watch = silent(JsonLog(tmp_path / "log"))
    with pytest.raises(ValueError, match="JSON compliant"):
        watch.event("note", share=float("nan"))
    assert log.scrubbed({"a": [1, 2.5, None, True]}) == {"a": [1, 2.5, None, True]}
