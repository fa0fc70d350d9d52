"""`gpu-var report`: the page of a finished run, made again from its folder."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from report.houses import house

from gpu_var.batch.errors import UsageError
from gpu_var.batch.fingerprint import sha256
from gpu_var.batch.lock import InUseError, locked
from gpu_var.batch.outputs import write_json, write_parquet
from gpu_var.report import again, page, source


def folder(path, ended, book):
    """A run's folder as it lies on the disk."""
    path.mkdir()
    for name in ("margin", "breakdown", "diagnostics"):
        table = getattr(ended, name)
        if table is not None:
            with (path / f"{name}.parquet").open("wb") as stream:
                write_parquet(table, stream)
    (path / "report.html").write_text(page.render_source(ended))
    outputs = {file.name: sha256(file) for file in sorted(path.iterdir())}
    with (path / "run.json").open("wb") as stream:
        write_json(ended.facts | {"book": str(book), "outputs": outputs, "host": "here"}, stream)
    return path


@pytest.fixture(scope="module")
def before():
    return house(60, seed=2, first=5)


@pytest.fixture
def out(ended, tmp_path):
    return folder(tmp_path / "out", ended, tmp_path / "book")


@pytest.fixture
def old(ended, tmp_path):
    rows = ended.margin.to_pylist()
    for row in rows:
        row["margin"] = row["margin"] / 2
        row["core"] = row["core"] / 2
    half = replace(ended, margin=type(ended.margin).from_pylist(rows, ended.margin.schema))
    return folder(tmp_path / "old", half, tmp_path / "book")


def test_the_same_page_as_from_the_run(run, out, capsys):
    then = (out / "report.html").read_bytes()
    assert page.render(run).encode() == then
    facts = (out / "run.json").read_bytes()
    (out / "report.html").unlink()
    assert again.report(out, previous=None, html=None, quiet=False) == 0
    assert (out / "report.html").read_bytes() == then
    assert (out / "run.json").read_bytes() == facts
    assert capsys.readouterr().out == f"page: {out / 'report.html'}\n"


def test_with_a_previous_run_into_the_folder_or_elsewhere(out, old, tmp_path, capsys):
    elsewhere = tmp_path / "morning.html"
    facts = (out / "run.json").read_bytes()
    again.report(out, previous=old, html=elsewhere, quiet=True)
    assert (out / "run.json").read_bytes() == facts
    again.report(out, previous=old, html=None, quiet=True)
    assert elsewhere.read_bytes() == (out / "report.html").read_bytes()
    text = elsewhere.read_text()
    assert "Change since 2026-01-05" in text
    assert "The total margin has risen by" in text
    assert json.loads((out / "run.json").read_text())["outputs"]["report.html"] == sha256(out / "report.html")
    assert capsys.readouterr() == ("", "")


def test_a_run_without_diagnostics_has_no_histograms(ended, tmp_path):
    bare = source.Source(ended.margin, ended.breakdown, None, ended.facts)
    out = folder(tmp_path / "bare", bare, tmp_path / "book")
    again.report(out, previous=None, html=None, quiet=True)
    text = (out / "report.html").read_text()
    assert "The run has no <code>diagnostics.parquet</code>" in text
    assert 'id="losses"' not in text
    assert "Exceedances" not in text


def test_what_is_no_finished_run_is_refused(out, tmp_path):
    def refused(match, **asked):
        with pytest.raises(UsageError, match=match):
            again.report(**({"out": out, "previous": None, "html": None, "quiet": True} | asked))

    refused("nowhere does not exist", out=tmp_path / "nowhere")
    refused("--previous: .*nowhere does not exist", previous=tmp_path / "nowhere")
    refused("does not end in .html", html=tmp_path / "page.pdf")
    refused("is a folder; give a file", html=_made(tmp_path / "d.html"))
    refused("its folder .* does not exist", html=tmp_path / "no" / "page.html")
    refused("the book itself or lies in it", html=_made(tmp_path / "book") / "page.html")
    (out / "report.html").unlink()
    (out / "margin.parquet").write_bytes((out / "breakdown.parquet").read_bytes())
    refused("margin.parquet is not the file that its run wrote")
    assert not (out / "report.html").exists()
    (out / "margin.parquet").unlink()
    refused("holds no finished run, for it has no margin.parquet")
    (out / "run.json").write_text("{}")
    refused("it has no version, versions, backend")


def test_another_currency_is_refused_before_anything_is_written(out, old):
    facts = json.loads((old / "run.json").read_text())
    facts["config"]["base_currency"] = "EUR"
    (old / "run.json").write_text(json.dumps(facts))
    then = (out / "report.html").read_bytes()
    with pytest.raises(UsageError, match="--previous old is in EUR and this run in USD"):
        again.report(out, previous=old, html=None, quiet=True)
    assert (out / "report.html").read_bytes() == then


def test_a_run_that_writes_there_is_left_alone(out, tmp_path):
    (out / ".gpu-var").mkdir()
    with locked(out, out / ".gpu-var" / "lock"):
        with pytest.raises(InUseError, match="in use by another run"):
            again.report(out, previous=None, html=None, quiet=True)
        assert again.report(out, previous=None, html=tmp_path / "page.html", quiet=True) == 0


def test_a_table_in_several_chunks_gives_the_same_page(out, ended):
    table = pq.read_table(out / "margin.parquet")
    pieces = type(table).from_batches(table.to_batches(max_chunksize=2))
    assert pieces["margin"].num_chunks > 1
    pq.write_table(pieces, out / "margin.parquet", row_group_size=2)
    facts = json.loads((out / "run.json").read_text())
    facts["outputs"]["margin.parquet"] = sha256(out / "margin.parquet")
    (out / "run.json").write_text(json.dumps(facts))
    assert page.render_source(source.read(out)) == page.render_source(ended)


def _made(path):
    path.mkdir()
    return path
