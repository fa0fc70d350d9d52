"""`gpu-var demo`, with small books in the place of the real markets."""

import pytest
from cli.small import write_book

import gpu_var.demo
from gpu_var.cli import main


@pytest.fixture
def small_demo(monkeypatch):
    def write_demo(folder):
        for name in ("one", "two"):
            if not (folder / name).exists():
                write_book(folder / name)
        return [folder / "one", folder / "two"]

    monkeypatch.setattr(gpu_var.demo, "write_demo", write_demo)


@pytest.mark.usefixtures("small_demo")
def test_both_books_are_margined(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    folder = tmp_path / "gpu-var-demo"
    assert sorted(p.name for p in folder.iterdir()) == ["one", "one-margin", "two", "two-margin"]
    text = capsys.readouterr().out
    assert text.count("Margins, in USD") == 2
    for name in ("one", "two"):
        assert str(folder / f"{name}-margin" / "report.html") in text
        assert (folder / f"{name}-margin" / "margin.parquet").exists()


@pytest.mark.usefixtures("small_demo")
def test_what_stands_there_is_not_overwritten_unasked(tmp_path, capsys):
    assert main(["demo", str(tmp_path / "d"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["demo", str(tmp_path / "d"), "--quiet"]) == 2
    assert "is not empty; give --overwrite" in capsys.readouterr().err
    assert main(["demo", str(tmp_path / "d"), "--quiet", "--overwrite"]) == 0
    (tmp_path / "file").write_text("")
    assert main(["demo", str(tmp_path / "file")]) == 2
    assert main(["demo", str(tmp_path / "file" / "d")]) == 1
