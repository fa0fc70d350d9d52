"""What the output folder says of a run that did not come to its end."""

import json
from datetime import UTC, datetime

import pytest
from batch_log.watched import silent
from cli.small import tree

from gpu_var.batch.errors import Interrupted, RunError, WriteError
from gpu_var.batch.folder import OUTPUTS, output_folder
from gpu_var.batch.record import WRITING, provenance, recorded

PLAN = {
    "version": "0.1.0",
    "backend": "cpu",
    "precision": "float64",
    "pnl": False,
    "config": {"monte_carlo": {"seed": 7}},
    "inputs": {"fx.csv": "00"},
}


@pytest.fixture
def facts(tmp_path):
    return provenance(PLAN, "cpu", 2, tmp_path / "book", datetime(2026, 1, 5, tzinfo=UTC), ["a note"])


def record(out):
    return json.loads((out / ".gpu-var" / "run.json").read_text())


def test_it_follows_the_stages_and_goes_with_the_end(tmp_path, facts, clock):
    out = tmp_path / "out"
    watch = silent()
    with output_folder(out, "new", PLAN) as folder, recorded(folder, watch, facts):
        assert record(out)["state"] == "running"
        assert record(out)["stage"] is None
        watch("scenarios", 0.0)
        clock.after(2)
        watch("revalue", 0.0)
        found = record(out)
        assert (found["state"], found["stage"], found["timings"]) == (
            "running",
            "revalue",
            {"scenarios": 2, "revalue": 0},
        )
        assert found["run"] == watch.run
        assert {key: found[key] for key in facts} == facts
        watch(WRITING)
        folder.write("run.json", lambda stream: stream.write(b'"its own"'))
        watch.event("tick")
        watch.event("note", text="late")
        folder.publish()
    assert tree(out) == {"run.json": b'"its own"'}


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (RunError("cannot log in to postgresql://bob:swordfish@h/db"), "failed", 1),
        (Interrupted(15), "interrupted", 143),
        (KeyboardInterrupt(), "interrupted", 130),
        (MemoryError(), "failed", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("old", [False, True], ids=["new", "overwrite"])
def test_how_it_ended_stands_aside_and_the_old_run_stays(tmp_path, facts, error, state, code, old):
    out = tmp_path / "out"
    if old:
        out.mkdir()
        for name in OUTPUTS:
            (out / name).write_text(f"old {name}")
    before = tree(out)
    watch = silent()

    def fail():
        with output_folder(out, "overwrite" if old else "new", PLAN) as folder, recorded(folder, watch, facts):
            watch("revalue", 0.25)
            raise error

    with pytest.raises(type(error)):
        fail()
    found = record(out)
    assert (found["state"], found["exit_code"], found["stage"], found["fraction"]) == (state, code, "revalue", 0.25)
    assert found["error"]["kind"] == type(error).__name__
    assert found["timings"].keys() == {"revalue"}
    assert (found["version"], found["seeds"], found["inputs"]) == ("0.1.0", {"monte_carlo": 7}, {"fx.csv": "00"})
    assert "swordfish" not in json.dumps(found)
    after = tree(out)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        ".gpu-var/lock",
        ".gpu-var/plan.json",
        ".gpu-var/run.json",
    }
    with output_folder(out, "resume", PLAN) as folder:
        assert folder is not None


def test_it_keeps_no_observer(tmp_path, facts):
    watch = silent()
    with output_folder(tmp_path / "out", "new", PLAN) as folder, recorded(folder, watch, facts):
        pass
    watch("later")
    assert not (tmp_path / "out" / ".gpu-var").exists()


def test_what_ended_the_run_is_told_though_nothing_can_be_written(tmp_path, facts, monkeypatch):
    watch = silent()

    def refuse(*_args):
        raise WriteError("run.json", OSError(28, "No space left on device"))

    with output_folder(tmp_path / "out", "new", PLAN) as folder:

        def fail():
            with recorded(folder, watch, facts):
                monkeypatch.setattr(folder, "write", refuse)
                raise RunError("the first")

        with pytest.raises(RunError, match="the first"):
            fail()


def test_the_end_of_a_process_that_ends_where_it_stands(tmp_path, facts):
    out = tmp_path / "out"
    watch = silent()
    with output_folder(out, "new", PLAN) as folder, recorded(folder, watch, facts):
        watch("revalue", 0.5)
        watch.end(143)
        assert (record(out)["state"], record(out)["exit_code"]) == ("interrupted", 143)
