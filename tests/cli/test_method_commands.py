"""The commands of the margin methods, as they are typed."""

import pyarrow.parquet as pq
import pytest

import gpu_var as gv
from gpu_var.cli import main
from gpu_var.tables import presets


def test_presets_are_listed(capsys):
    assert main(["preset"]) == 0
    said = capsys.readouterr().out
    for name in presets.names():
        assert f"\n{name} " in f"\n{said}"


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_a_configuration(name, capsys, tmp_path):
    assert main(["preset", name]) == 0
    text = capsys.readouterr().out
    head = 'as_of = 2026-01-05T00:00:00Z\nbase_currency = "USD"\n'
    (tmp_path / "copied.toml").write_text(head + text)
    (tmp_path / "named.toml").write_text(f'preset = "{name}"\n{head}')
    copied, named = (gv.Config.load(tmp_path / f"{file}.toml").as_dict() for file in ("copied", "named"))
    assert named.pop("preset") == name
    assert copied == named


def test_keys_of_ones_own_override_a_presets(tmp_path):
    text = 'preset = "span2"\nas_of = 2026-01-05\nbase_currency = "USD"\nlevel = 0.95\n[fhs]\nlookback = 300\n'
    (tmp_path / "margin.toml").write_text(text)
    config = gv.Config.load(tmp_path / "margin.toml")
    assert (config.level, config.fhs.lookback, config.fhs.correlation_scaling) == (0.95, 300, True)
    assert config.core.combine == "blend"


def test_an_unknown_preset(capsys):
    assert main(["preset", "spann"]) == 2
    assert "'spann' is no preset; the nearest known one is 'span'" in capsys.readouterr().err


def test_compare(book, capsys):
    assert main(["compare", str(book)]) == 0
    table = pq.read_table(book.with_name("book-compare.parquet"))
    assert {"isolated", "cross", "reg_t", "portfolio", "fully_collateralised"} <= set(table.column_names)
    assert book.with_name("book-compare.html").exists()
    assert "saving vs Reg T style" in capsys.readouterr().out


def test_explain(book, capsys):
    out = book.with_name("book-margin")
    assert main(["run", str(book), "--quiet"]) == 0
    assert main(["explain", str(out), "plain", "--top", "2", "--html", str(book.with_name("why.html"))]) == 0
    said = capsys.readouterr().out
    assert "plain: margin" in said
    assert "add up to core" in said
    assert "plain" in book.with_name("why.html").read_text()
    why = gv.explain(out, "plain")
    margin = next(r["margin"] for r in pq.read_table(out / "margin.parquet").to_pylist() if r["account"] == "plain")
    assert sum(why.composition["amount"].to_pylist()) == pytest.approx(margin, rel=1e-9)


def test_procyclicality(book, capsys):
    assert main(["procyclicality", str(book), "--days", "5", "--every", "2"]) == 0
    assert "peak" in capsys.readouterr().out
    table = pq.read_table(book.with_name("book-procyclicality.parquet"))
    assert {"date", "account", "method", "margin"} <= set(table.column_names)


@pytest.mark.parametrize("command", ["compare", "procyclicality", "what-if", "explain", "preset"])
def test_help_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"Example: gpu-var {command}" in capsys.readouterr().out


def test_report_is_the_page_of_the_run(book, capsys):
    out = book.with_name("book-margin")
    assert main(["run", str(book), "--quiet", "--pnl"]) == 0
    page = (out / "report.html").read_bytes()
    assert main(["report", str(out), "--out", str(book.with_name("again.html"))]) == 0
    assert book.with_name("again.html").read_bytes() == page
    assert main(["run", str(book), "--quiet", "--overwrite", "--previous", str(out)]) == 0
    assert (out / "report.html").read_bytes() != page
    assert main(["report", str(book)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
