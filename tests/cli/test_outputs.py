"""What a run writes and says."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli.small import EMPTY, NAMES, replace, tree

import gpu_var as gv
from gpu_var.batch.errors import UsageError
from gpu_var.cli import main

MARGIN = [
    "account", "currency", "status", "margin", "core", "core_model", "worst_scenario", "concentration", "liquidity",
    "fhs_var", "fhs_es", "fhs_worst", "mc_var", "mc_var_se", "mc_es", "mc_es_se", "mc_worst", "scan", "stress",
    "net_option_value",
]  # fmt: skip
BREAKDOWN = [
    "account", "underlying", "currency", "delta", "gamma", "vega", "theta", "fhs_var", "fhs_es", "fhs_worst",
    "mc_var", "mc_es", "mc_worst", "core", "days_to_unwind", "horizon_days", "concentration", "liquidity_delta",
    "liquidity_vega", "net_option_value",
    "delta_30d", "delta_90d", "delta_365d", "delta_beyond", "delta_undated",
    *(f"{greek}_{bucket}" for greek in ("gamma", "vega", "theta") for bucket in ("30d", "90d", "365d", "beyond")),
]  # fmt: skip
FILES = ["breakdown.parquet", "margin.parquet", "report.html", "run.json"]
PNL = ["diagnostics.parquet", "pnl_fhs.arrow", "pnl_monte_carlo.arrow"]


@pytest.fixture
def out(book):
    return book.with_name("book-margin")


def test_the_tables(book, out, capsys):
    assert main(["run", str(book)]) == 0
    assert sorted(path.name for path in out.iterdir()) == FILES
    margin, breakdown = pq.read_table(out / "margin.parquet"), pq.read_table(out / "breakdown.parquet")
    assert margin.column_names == MARGIN
    assert breakdown.column_names == BREAKDOWN
    assert margin["account"].to_pylist() == sorted([*NAMES, EMPTY], key=str.encode)
    assert set(margin["status"].to_pylist()) == {"ok"}
    said = capsys.readouterr()
    assert "Margins, in USD" in said.out
    assert "=1+1" in said.out
    assert "[red]日本[/red]" in said.out
    assert "revaluations" in said.out
    assert f"outputs: {out}" in said.out


def test_quiet_says_nothing(book, capsys):
    assert main(["run", str(book), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_what_run_json_tells(book, out):
    assert main(["run", str(book), "--quiet", "--threads", "1"]) == 0
    facts = json.loads((out / "run.json").read_text())
    assert facts["version"] == gv.__version__
    assert {"python", "numpy", "scipy", "pyarrow"} <= facts["versions"].keys()
    assert (facts["backend"], facts["precision"], facts["threads"]) == ("cpu", "float64", 1)
    assert facts["device"]
    assert facts["seeds"] == {"monte_carlo": 7}
    assert facts["config"]["fhs"]["decay"] == 0.97
    inputs = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in book.iterdir()}
    assert facts["inputs"] == inputs
    for name, digest in facts["outputs"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    assert sorted(facts["outputs"]) == [name for name in FILES if name != "run.json"]
    assert facts["counts"]["accounts"] == 6
    assert facts["counts"]["revaluations"] == 3 * (50 + 400)
    assert all(seconds >= 0 for seconds in facts["timings"].values())
    assert facts["started"] <= facts["finished"]


def test_the_same_bytes_on_any_number_of_threads(book, tmp_path):
    for threads, name in ((1, "one"), (3, "three")):
        line = ["run", str(book), "--quiet", "--pnl", "--threads", str(threads), "--out", str(tmp_path / name)]
        assert main(line) == 0
    one, three = tree(tmp_path / "one"), tree(tmp_path / "three")
    assert sorted(one) == sorted(FILES + PNL)
    one.pop("run.json"), three.pop("run.json")
    assert one == three


def test_the_pnl_that_the_measures_come_from(book, out):
    assert main(["run", str(book), "--quiet", "--pnl"]) == 0
    margin = pq.read_table(out / "margin.parquet")
    for model, prefix, scenarios in (("fhs", "fhs", 50), ("monte_carlo", "mc", 400)):
        with pa.memory_map(str(out / f"pnl_{model}.arrow")) as source:
            table = pa.ipc.open_file(source).read_all()
        assert table.schema.field("account").type == pa.string()
        assert table.schema.field("pnl").type == pa.list_(pa.float64(), scenarios)
        names = json.loads(table.schema.metadata[b"scenarios"])
        assert len(names) == scenarios
        assert names[-1] == {"fhs": "2025-12-30", "monte_carlo": "399"}[model]
        assert table["account"].to_pylist() == margin["account"].to_pylist()
        pnl = np.array(table["pnl"].to_pylist())
        worst = np.maximum(0, -pnl.min(axis=1))
        np.testing.assert_array_equal(worst, margin[f"{prefix}_worst"].to_numpy())


def test_notes_are_said_and_kept(book, out, capsys):
    (book / "readme.txt").write_text("what this is")
    assert main(["run", str(book)]) == 0
    lines = capsys.readouterr().err.splitlines()
    said = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    assert json.loads((out / "run.json").read_text())["notes"] == said
    assert any("readme.txt" in note for note in said)
    assert main(["run", str(book), "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_configuration_from_elsewhere_replaces_that_of_the_book(book, out, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text('as_of = "2026-01-05"\nbase_currency = "USD"\n[fhs]\nlookback = 20\n')
    assert main(["run", str(book), "--quiet", "--config", str(other)]) == 0
    margin = pq.read_table(out / "margin.parquet")
    assert margin["mc_es"].null_count == margin.num_rows
    facts = json.loads((out / "run.json").read_text())
    assert facts["config"]["fhs"]["lookback"] == 20
    assert facts["inputs"]["margin.toml"] == hashlib.sha256(other.read_bytes()).hexdigest()


def test_an_account_that_fails_leaves_the_others_alone(book, out, capsys):
    replace(book / "positions.csv", "plain,X,12", "plain,X,1e15")
    replace(book / "instruments.csv", "X,spot,X,1,", "X,spot,X,1e300,")
    assert main(["run", str(book), "--pnl"]) == 3
    rows = {row["account"]: row for row in pq.read_table(out / "margin.parquet").to_pylist()}
    assert rows["plain"]["status"].startswith("failed: ")
    assert rows["plain"]["margin"] is None
    for row in pa.ipc.open_file(out / "pnl_fhs.arrow").read_all().to_pylist():
        assert (row["pnl"] is None) == (rows[row["account"]]["status"] != "ok")
    assert rows["[red]日本[/red]"]["status"] == "ok"
    assert rows["[red]日本[/red]"]["margin"] > 0
    assert "error: account plain: failed: " in capsys.readouterr().err


def test_the_python_way(book, out):
    config = gv.Config.load(book / "margin.toml")
    run = gv.run(gv.read_book(book), config)
    assert main(["run", str(book), "--quiet", "--pnl"]) == 0
    assert run.margin.equals(pq.read_table(out / "margin.parquet"))
    other = out.with_name("by hand")
    written = run.write(other, pnl=True)
    assert [path.name for path in written] == ["breakdown.parquet", *PNL, "run.json", "margin.parquet"]
    for path in written:
        assert path.name == "run.json" or path.read_bytes() == (out / path.name).read_bytes()
    with pytest.raises(UsageError, match="already holds a run"):
        run.write(other)
    assert [path.name for path in run.write(other, overwrite=True)] == [
        "breakdown.parquet",
        "run.json",
        "margin.parquet",
    ]
    assert not (other / "pnl_fhs.arrow").exists()
    with pytest.raises(UsageError, match="never written to"):
        run.write(book / "inside")
