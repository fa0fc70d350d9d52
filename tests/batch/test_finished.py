"""`--resume` of a run that has ended: its files are held against the checksums that it wrote."""

import pytest
from batch.batch_books import outputs, run


@pytest.fixture
def out(book, tmp_path):
    """The folder of a run that has ended."""
    assert run(book, tmp_path / "out") == 0
    return tmp_path / "out"


def stamps(out):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}


def test_nothing_has_changed(book, out, capsys):
    before = stamps(out)
    capsys.readouterr()
    assert run(book, out, "resume", quiet=False) == 0
    assert capsys.readouterr().out == f"{out} holds this run already, whole: nothing to do\n"
    assert stamps(out) == before


@pytest.mark.parametrize("name", ["margin.parquet", "breakdown.parquet", "pnl_fhs.arrow", "report.html"])
def test_a_flipped_byte(book, out, undisturbed, capsys, name):
    file = out / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    capsys.readouterr()
    assert run(book, out, "resume", quiet=False) == 0
    said = capsys.readouterr().err
    assert said.count("is not what the run wrote") == 1
    assert f"note: {file} is not what the run wrote; the run is computed again\n" in said
    assert outputs(out) == undisturbed
    assert run(book, out, "resume", quiet=False) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_files_that_are_gone(book, out, undisturbed, capsys):
    for name in ("margin.parquet", "scan.parquet"):
        (out / name).unlink()
    capsys.readouterr()
    assert run(book, out, "resume", quiet=False) == 0
    said = capsys.readouterr().err
    for name in ("margin.parquet", "scan.parquet"):
        assert f"note: {out / name} is not what the run wrote; the run is computed again\n" in said
    assert outputs(out) == undisturbed
