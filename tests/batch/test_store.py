"""Results in a folder: whole, or not there."""

import errno
import os

import numpy as np
import pytest

from gpu_var.batch import store as module
from gpu_var.batch.errors import RunError, WriteError
from gpu_var.batch.store import FolderStore, Nowhere

ARRAYS = {
    "pnl": np.linspace(-1, 1, 60).reshape(3, 20),
    "account": np.arange(3),
    "text": np.frombuffer(b"{}", np.uint8),
    "none": np.zeros((0, 7)),
    "across": np.arange(6.0).reshape(2, 3).T,
}


@pytest.fixture
def store(tmp_path):
    kept = FolderStore(tmp_path / "shards", "token")
    assert kept.save("one", ARRAYS)
    return kept


def again(store, token="token"):
    return FolderStore(store.scratch, token)


def test_what_is_saved_comes_back(store):
    fresh = again(store)
    assert fresh.check(["one", "two"]) == {"one"}
    found = fresh.load("one")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert fresh.spoilt == []


def test_any_truncation_is_found_out(store):
    path = store.scratch / "one"
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:size])
        fresh = again(store)
        assert fresh.check(["one"]) == set()
        assert fresh.spoilt == ["one"]
        assert not path.exists()


def test_any_flipped_byte_is_found_out(store):
    path = store.scratch / "one"
    whole = path.read_bytes()
    for at in range(0, len(whole), 29):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert again(store).check(["one"]) == set()


def test_anything_appended_is_found_out(store):
    path = store.scratch / "one"
    path.write_bytes(path.read_bytes() + b"\0")
    assert again(store).check(["one"]) == set()


def test_the_result_of_another_run_is_none(store):
    other = again(store, "other")
    assert other.check(["one"]) == set()
    assert other.spoilt == ["one"]


def test_what_is_not_asked_for_goes(store):
    (store.scratch / "two.part").write_bytes(b"half")
    (store.scratch / "pnl-fhs").write_bytes(b"scratch")
    fresh = again(store)
    assert fresh.check(["one"]) == {"one"}
    assert [path.name for path in store.scratch.iterdir()] == ["one"]
    assert fresh.spoilt == []


def test_a_result_that_changes_under_the_run_is_an_error(store):
    fresh = again(store)
    fresh.check(["one"])
    path = store.scratch / "one"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="changed by another process"):
        fresh.load("one")


@pytest.mark.parametrize("step", ["fsync", "write"])
def test_a_full_disk_is_named_and_leaves_nothing_half(store, monkeypatch, step):
    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = (store.scratch / "one").read_bytes()
    target = (module.os, "fsync") if step == "fsync" else (np.lib.format, "write_array")
    with monkeypatch.context() as patch:
        patch.setattr(*target, full)
        for name in ("one", "two"):
            with pytest.raises(WriteError, match=f"cannot write .*{name}: No space left"):
                store.save(name, ARRAYS)
    assert [path.name for path in store.scratch.iterdir()] == ["one"]
    assert (store.scratch / "one").read_bytes() == before


def test_dropped_is_gone(store):
    store.drop(["one", "never there"])
    assert again(store).check(["one"]) == set()


def test_nowhere_keeps_nothing():
    nowhere = Nowhere()
    assert not nowhere.save("one", ARRAYS)
    assert nowhere.check(["one"]) == set()
