"""The text file of metrics, read by Prometheus's own parser."""

import sys
import threading

import pytest
from batch_log.watched import Heard, silent
from prometheus_client.parser import text_string_to_metric_families

from gpu_var.batch import metrics as module
from gpu_var.batch.errors import UsageError
from gpu_var.batch.metrics import Metrics
from gpu_var.batch.watch import Watch


def samples(file):
    """Values by name and labels but `out`, which is the same in all."""
    text = file.read_text(encoding="utf-8")
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert len({sample.labels["out"] for sample in found}) == 1
    values = {(s.name, *(v for k, v in sorted(s.labels.items()) if k != "out")): s.value for s in found}
    assert len(values) == len(found)
    return values


def test_how_far_a_run_is(clock, tmp_path):
    file = tmp_path / "run.prom"
    watch = silent(Metrics(file, tmp_path / "out"))
    watch.plan("revalue", 1000, shards=4)
    watch("greeks", 0.0)
    clock.after(3)
    watch("revalue", 0.0)
    watch.shard("a", "revalue", 250, found=True)
    clock.after(10)
    watch.shard("b", "revalue", 250)
    told = samples(file)
    expected = {
        ("gpu_var_running",): 1,
        ("gpu_var_stage", "revalue"): 1,
        ("gpu_var_stage_ratio",): 0.5,
        ("gpu_var_stage_left_seconds",): 20,
        ("gpu_var_stage_per_second", "revaluations"): 25,
        ("gpu_var_stage_seconds", "greeks"): 3,
        ("gpu_var_stage_seconds", "revalue"): 10,
        ("gpu_var_shards",): 4,
        ("gpu_var_shards_done",): 2,
        ("gpu_var_shards_found",): 1,
        ("gpu_var_revaluations",): 1000,
        ("gpu_var_revaluations_done",): 500,
        ("gpu_var_accounts_failed",): 0,
        ("gpu_var_elapsed_seconds",): 13,
    }
    assert {key: told.get(key) for key in expected} == pytest.approx(expected)
    assert ("gpu_var_exit_code",) not in told
    assert any(key[0] == "gpu_var_run_info" and watch.run in key for key in told)


@pytest.mark.parametrize(("error", "code"), [(None, 3), (KeyboardInterrupt(), 130), (MemoryError(), 1)])
def test_how_it_ended(tmp_path, error, code):
    file = tmp_path / "run.prom"
    watch = Watch([Metrics(file, tmp_path)])
    watch("revalue", 0.5)
    if error is None:
        with watch:
            watch.failed([("a", "x"), ("b", "y")], 2)
            watch.finish(3)
    else:
        with pytest.raises(type(error)), watch:
            raise error
    told = samples(file)
    assert told["gpu_var_exit_code",] == code
    assert told["gpu_var_running",] == 0
    assert told["gpu_var_accounts_failed",] == (2 if error is None else 0)


def test_it_is_rewritten_now_and_then_though_a_stage_says_nothing(clock, tmp_path):
    file = tmp_path / "run.prom"
    watch = silent(Metrics(file, tmp_path))
    watch("reading")
    seen = []
    for _ in range(40):
        clock.after(0.5)
        watch.event("tick")
        seen.append(samples(file)["gpu_var_elapsed_seconds",])
    assert sorted(set(seen)) == pytest.approx([0, 5, 10, 15, 20])


def test_a_reader_never_sees_half_a_file(tmp_path):
    file = tmp_path / "run.prom"
    metrics = Metrics(file, tmp_path / 'o"u\\t\n')  # also a name that must be escaped
    heard = Heard()
    watch = silent(metrics, heard)
    over = threading.Event()
    sizes = set()

    def read():
        while not over.is_set():
            sizes.add(len({key[0] for key in samples(file)} - {"gpu_var_stage", "gpu_var_stage_seconds"}))

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(200):
        watch(f"stage {step}")
    over.set()
    reader.join()
    assert len(heard.of("stage_begun")) == 200
    assert len(sizes) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.prom"]


def test_a_place_that_cannot_be_written_ends_the_metrics_alone(tmp_path, capsys):
    with Watch([Metrics(tmp_path / "nowhere" / "run.prom", tmp_path)]) as watch:
        watch("reading")
    assert f"cannot write {tmp_path / 'nowhere' / 'run.prom'}: " in capsys.readouterr().err
    with pytest.raises(UsageError, match="is a folder"):
        Metrics(tmp_path, tmp_path)


def test_what_is_to_be_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"gpu-var\[metrics\]"):
        Metrics(tmp_path / "run.prom", tmp_path)


def test_nothing_is_imported_for_those_who_want_no_metrics():
    assert "prometheus_client" not in vars(sys.modules["gpu_var.batch.metrics"])
