"""Where memory is short the engine takes smaller tiles, and the numbers stay."""

import pytest
from oracle import books
from oracle.files import write_book

import cpu_reference
from gpu_var import engine_groups
from gpu_var.cli import main


def short_of_memory(monkeypatch, widest):
    real = cpu_reference.revalue

    def revalue(instruments, market, shocks, prepared, scenarios, out, rows=None):
        if scenarios.stop - scenarios.start > widest:
            out[...] = 1e300  # what a half-done tile leaves behind
            raise MemoryError("planted")
        real(instruments, market, shocks, prepared, scenarios, out, rows)

    monkeypatch.setattr(cpu_reference, "revalue", revalue)


@pytest.mark.parametrize("widest", [7, 1])
def test_smaller_tiles_give_the_same_margins(tmp_path, monkeypatch, widest):
    folder = write_book(tmp_path / "book", books.crypto(), books.config(monte_carlo={"paths": 300}))
    assert main(["run", str(folder), "--out", str(tmp_path / "whole"), "--quiet"]) == 0
    short_of_memory(monkeypatch, widest)
    assert main(["run", str(folder), "--out", str(tmp_path / "short"), "--quiet"]) == 0
    for name in ("margin.parquet", "breakdown.parquet"):
        assert (tmp_path / "short" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_one_underlying_at_a_time_gives_the_same_margins(tmp_path, monkeypatch):
    """Whatever is prepared, and measured, together."""
    folder = write_book(tmp_path / "book", books.world(), books.config(allow_unshocked=["iv:CRASH"]))
    assert main(["run", str(folder), "--out", str(tmp_path / "together"), "--quiet"]) == 0
    groups = []
    real = cpu_reference.prepare_all
    monkeypatch.setattr(cpu_reference, "prepare_all", lambda requests: groups.append(len(requests)) or real(requests))
    monkeypatch.setattr(cpu_reference, "batch_bytes", lambda: 1)
    monkeypatch.setattr(cpu_reference, "MEASURED", 1)
    monkeypatch.setattr(engine_groups, "PREPARED_BYTES", 1)
    assert main(["run", str(folder), "--out", str(tmp_path / "single"), "--quiet"]) == 0
    assert len(groups) > 1
    assert set(groups) == {1}
    for name in ("margin.parquet", "breakdown.parquet"):
        assert (tmp_path / "single" / name).read_bytes() == (tmp_path / "together" / name).read_bytes()


def test_none_at_all_is_an_error_and_leaves_no_result(tmp_path, monkeypatch, capsys):
    folder = write_book(tmp_path / "book", books.crypto(), books.config())
    short_of_memory(monkeypatch, 0)
    assert main(["run", str(folder), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    assert "no memory is left for" in capsys.readouterr().err
    assert not (tmp_path / "out" / "margin.parquet").exists()
