"""Interrupted, broken, resumed: the bytes are those of an undisturbed run, and only what is missing is computed."""

import json
import random
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from batch.batch_books import SHARDED, outputs, run, write_house

from gpu_var.batch import sharded
from gpu_var.batch.errors import UsageError
from gpu_var.batch.shards import Revaluing, Valuing
from gpu_var.batch.store import FolderStore


@pytest.fixture
def computed(monkeypatch):
    """The names of the shards that are computed."""
    names = []
    for kind in (Valuing, Revaluing):

        def compute(self, *args, real=kind.compute):
            names.append(self.name)
            return real(self, *args)

        monkeypatch.setattr(kind, "compute", compute)
    return names


def stop_after(saves, monkeypatch, book, out, mode="new"):
    """A run that is stopped when it has kept so many results; False if it had no more."""
    real, count = FolderStore.save, 0

    def save(self, name, arrays):
        nonlocal count
        kept = real(self, name, arrays)
        count += 1
        if count == saves:
            raise KeyboardInterrupt
        return kept

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "save", save)
        try:
            run(book, out, mode)
        except KeyboardInterrupt:
            return True
    return False


def shards_of(out):
    """What is kept, but for the profit and loss and the tables of finished chunks, which are made anew."""
    kept = (out / ".gpu-var" / "shards").iterdir()
    return {path.name: path for path in kept if not path.name.startswith(("pnl-", "table-"))}


def test_there_are_many_shards(book, tmp_path, computed, undisturbed):
    assert run(book, tmp_path / "out", threads=3) == 0
    assert len(computed) == len(set(computed)) == 20
    assert outputs(tmp_path / "out") == undisturbed
    assert not (tmp_path / "out" / ".gpu-var").exists()


@pytest.mark.parametrize("saves", [1, 5, 6, 13, 20])
def test_stopped_anywhere(book, tmp_path, monkeypatch, computed, undisturbed, saves, capsys):
    out = tmp_path / "out"
    assert stop_after(saves, monkeypatch, book, out)
    assert f"{out} has no new result yet" in capsys.readouterr().err
    before = set(computed)
    computed.clear()
    assert run(book, out, "resume") == 0
    assert not before & set(computed)
    assert len(before) + len(computed) == 20
    assert outputs(out) == undisturbed
    facts = json.loads((out / "run.json").read_text())
    assert facts["shards"] == {"planned": 20, "found": len(before)}
    assert not any("resumed" in note for note in facts["notes"])


def test_resumed_is_said(book, tmp_path, monkeypatch, capsys):
    assert stop_after(9, monkeypatch, book, tmp_path / "out")
    shards = shards_of(tmp_path / "out")
    shards["value-000001"].write_bytes(b"")
    capsys.readouterr()
    assert run(book, tmp_path / "out", "resume", quiet=False) == 0
    said = capsys.readouterr().err
    assert "note: resumed: 8 of 20 shards were there; 1 were broken and have been computed anew" in said


@pytest.mark.parametrize("seed", range(4))
def test_any_harm_to_any_shards(book, tmp_path, monkeypatch, computed, undisturbed, seed):
    out, rng = tmp_path / "out", random.Random(seed)
    monkeypatch.setattr(sharded, "size_of", lambda _result: 0)  # no sums
    assert stop_after(20, monkeypatch, book, out)
    harmed = rng.sample(sorted(shards_of(out)), 7)
    for name in harmed:
        path = shards_of(out)[name]
        whole = bytearray(path.read_bytes())
        match rng.choice(["delete", "truncate", "flip", "swap"]):
            case "delete":
                path.unlink()
            case "truncate":
                path.write_bytes(whole[: rng.randrange(len(whole))])
            case "flip":
                whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
                path.write_bytes(whole)
            case "swap":
                path.write_bytes(b"another file")
    computed.clear()
    assert run(book, out, "resume") == 0
    assert sorted(computed) == sorted(harmed)
    assert outputs(out) == undisturbed


@pytest.mark.parametrize("saves", [9, 15, 22, 23])
def test_sums_that_stand_for_their_shards(book, tmp_path, monkeypatch, computed, undisturbed, saves):
    monkeypatch.setattr(sharded, "FOLD", 1)
    out = tmp_path / "out"
    assert stop_after(saves, monkeypatch, book, out)
    kept = shards_of(out)
    assert any("through" in name for name in kept)
    for name in kept:
        if "through" in name:
            chunk, _, last = name.partition("-through-")
            assert not [f"{chunk}-{g:06}" for g in range(int(last) + 1) if f"{chunk}-{g:06}" in kept]
    before = set(computed)
    computed.clear()
    assert run(book, out, "resume") == 0
    assert not before & set(computed)
    assert outputs(out) == undisturbed


def test_a_broken_sum_is_made_anew(book, tmp_path, monkeypatch, computed, undisturbed):
    monkeypatch.setattr(sharded, "FOLD", 1)
    out = tmp_path / "out"
    assert stop_after(24, monkeypatch, book, out)
    sums = [path for name, path in shards_of(out).items() if name.startswith("000000-through")]
    assert len(sums) == 1
    sums[0].write_bytes(sums[0].read_bytes()[:-1])
    computed.clear()
    assert run(book, out, "resume") == 0
    assert {f"000000-{g:06}" for g in range(5)} <= set(computed)
    assert outputs(out) == undisturbed


def test_a_kill_at_any_moment(book, tmp_path, undisturbed):
    out = tmp_path / "out"
    code = (
        "import os, random, signal, sys, threading\n"
        "from gpu_var.cli import main\n"
        "from gpu_var.batch.store import FolderStore\n"
        "real = FolderStore._write\n"
        "def write(self, stream, arrays, name):\n"
        "    write.left -= 1\n"
        "    if not write.left:\n"
        "        stream.write(b'half'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(self, stream, arrays, name)\n"
        "write.left = int(sys.argv[1])\n"
        "FolderStore._write = write\n"
        "sys.exit(main(sys.argv[2:]))\n"
    )
    for left in ("3", "4", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, left, "run", str(book), "--out", str(out), "--pnl", "--quiet", "--resume"],
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
    assert len([name for name in shards_of(out) if not name.endswith(".part")]) == 6
    assert run(book, out, "resume") == 0
    assert outputs(out) == undisturbed


def test_another_size_of_shards_is_another_run(book, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert stop_after(9, monkeypatch, book, out)
    before = {name: path.read_bytes() for name, path in shards_of(out).items()}
    file = book / "margin.toml"
    file.write_text(file.read_text().replace("chunk_megabytes = 1", "chunk_megabytes = 2"))
    with pytest.raises(UsageError, match=r"parameter batch\.chunk_megabytes: 1 then, 2 now"):
        run(book, out, "resume")
    assert {name: path.read_bytes() for name, path in shards_of(out).items()} == before


def test_overwrite_starts_anew(book, tmp_path, monkeypatch, computed, undisturbed):
    assert stop_after(9, monkeypatch, book, tmp_path / "out")
    computed.clear()
    assert run(book, tmp_path / "out", "overwrite") == 0
    assert len(computed) == 20
    assert outputs(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(
    "more",
    ["", "[batch]\nshard_revaluations = 1\n", SHARDED.replace("50000", "120000")],
    ids=["one", "by underlying", "some"],
)
def test_shards_of_any_size_give_the_same_numbers(tmp_path, undisturbed, more):
    book = write_house(tmp_path / "book", more)
    assert run(book, tmp_path / "out") == 0
    assert run(write_house(tmp_path / "sharded"), tmp_path / "sharded-out") == 0
    for name in ("margin", "breakdown", "scan"):
        one, other = (pq.read_table(tmp_path / out / f"{name}.parquet") for out in ("out", "sharded-out"))
        assert one.schema == other.schema
        for column in one.column_names:
            got, want = one[column], other[column]
            if str(got.type) == "double":
                scale = np.nanmax(np.abs(want.to_numpy()), initial=0.0)
                np.testing.assert_allclose(got.to_numpy(), want.to_numpy(), rtol=1e-12, atol=1e-12 * scale)
            else:
                assert got.to_pylist() == want.to_pylist()
