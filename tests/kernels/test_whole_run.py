"""Whole runs with `--backend cuda`, the kernels on the host: the margins of the reference, number by number."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from oracle import books
from oracle.files import write_book

import cpu_reference
from gpu_var import cuda, engine_groups
from gpu_var.cli import main

CASES = {
    "crypto": (books.crypto, {"monte_carlo": {"paths": 40, "copula": "student_t", "dof": 5.0}}),
    "world": (books.world, {"allow_unshocked": ["iv:CRASH"]}),
    "oil": (books.oil, {"as_of": "2020-05-06"}),
    "equity": (books.equity, {}),
}


def run(folder, out, *options):
    assert main(["run", str(folder), "--out", str(out), "--quiet", *options]) == 0
    return out


def numbers(out, name):
    table = pq.read_table(out / f"{name}.parquet")
    return {c: table[c].to_numpy() for c in table.column_names if str(table.schema.field(c).type) == "double"}, table


@pytest.mark.parametrize("case", CASES)
def test_the_margins_of_the_reference(separate, tmp_path, case):
    make, changes = CASES[case]
    folder = write_book(tmp_path / "book", make(), books.config(**{"fhs": {"lookback": 20}} | changes))
    cpu = run(folder, tmp_path / "cpu", "--backend", "cpu")
    gpu = run(folder, tmp_path / "cuda", "--backend", "cuda")
    for name in ("margin", "breakdown"):
        (want, table), (got, other) = numbers(cpu, name), numbers(gpu, name)
        scale = max(np.nanmax(np.abs(want[c])) for c in want if np.isfinite(want[c]).any())
        for column in want:
            np.testing.assert_allclose(got[column], want[column], rtol=1e-9, atol=1e-12 * scale, err_msg=column)
        for column in ("account", "status", "core_model", "worst_scenario"):
            if column in table.column_names:
                assert other[column].equals(table[column])
    facts = json.loads((gpu / "run.json").read_text())
    assert facts["backend"] == "cuda"
    assert facts["device"] == separate.name


def test_what_is_prepared_together_does_not_matter(separate, tmp_path, monkeypatch):
    folder = write_book(tmp_path / "book", books.world(), books.config(allow_unshocked=["iv:CRASH"]))
    together = run(folder, tmp_path / "together", "--backend", "cuda")
    monkeypatch.setattr(engine_groups, "PREPARED_BYTES", 1)
    monkeypatch.setattr(cuda, "batch_bytes", lambda: 1)
    single = run(folder, tmp_path / "single", "--backend", "cuda")
    want, got = numbers(together, "margin")[0], numbers(single, "margin")[0]
    for column in want:
        np.testing.assert_allclose(got[column], want[column], rtol=1e-9, err_msg=column)


def test_float32_is_near_and_named(separate, tmp_path):
    folder = write_book(tmp_path / "book", books.crypto(), books.config(fhs={"lookback": 20}))
    double = run(folder, tmp_path / "double", "--backend", "cuda")
    single = run(folder, tmp_path / "single", "--backend", "cuda", "--precision", "float32")
    want, got = numbers(double, "margin")[0]["margin"], numbers(single, "margin")[0]["margin"]
    assert (want != got).any()
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert json.loads((single / "run.json").read_text())["precision"] == "float32"


def test_auto_takes_the_device_and_resume_refuses_another_backend(separate, tmp_path, capsys):
    folder = write_book(tmp_path / "book", books.crypto(), books.config(fhs={"lookback": 20}))
    out = run(folder, tmp_path / "out")
    assert json.loads((out / "run.json").read_text())["backend"] == "cuda"
    assert main(["run", str(folder), "--out", str(out), "--resume", "--backend", "cpu"]) == 2
    assert "backend" in capsys.readouterr().err


def test_the_backends_export_the_same_names():
    assert set(cpu_reference.__all__) <= set(cuda.__all__)
