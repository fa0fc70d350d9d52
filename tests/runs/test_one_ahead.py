"""A group of underlyings is prepared while the one before is revalued."""

import threading

import pytest
from oracle import books
from oracle.files import write_book

import cpu_reference
from gpu_var import engine, engine_groups
from gpu_var.cli import main


def test_the_next_is_begun_while_one_is_in_use():
    begun = {name: threading.Event() for name in "abc"}

    def work(group):
        begun[group[0]].set()
        return [group[0].upper()]

    used = []
    for ready in engine._one_ahead(work, [["a"], ["b"], ["c"]]):
        used.append(ready)
        following = "bc"[len(used) - 1 : len(used)]
        assert all(begun[name].wait(60) for name in following)
        assert not any(begun[name].is_set() for name in "abc"[len(used) + 1 :])
    assert used == [["A"], ["B"], ["C"]]
    assert list(engine._one_ahead(work, [])) == []


def test_what_fails_ahead_is_told_in_its_turn():
    def work(group):
        if group == ["b"]:
            raise MemoryError("b")
        return group

    coming = engine._one_ahead(work, [["a"], ["b"]])
    assert next(coming) == ["a"]
    with pytest.raises(MemoryError, match="b"):
        next(coming)


def test_who_is_interrupted_does_not_wait():
    running, ended = threading.Event(), threading.Event()

    def work(group):
        if group == ["b"]:
            running.set()
            assert ended.wait(60)
        return {}

    coming = engine._one_ahead(work, [["a"], ["b"], ["c"]])
    next(coming)
    assert running.wait(60)
    with pytest.raises(KeyboardInterrupt):
        coming.throw(KeyboardInterrupt)
    assert not ended.is_set()
    ended.set()


def test_a_run_prepares_in_another_thread_than_it_revalues(tmp_path, monkeypatch):
    folder = write_book(tmp_path / "book", books.world(), books.config(allow_unshocked=["iv:CRASH"]))
    monkeypatch.setattr(engine_groups, "PREPARED_BYTES", 1)
    threads = set()
    real = cpu_reference.prepare_all

    def prepare_all(requests):
        threads.add(threading.get_ident())
        return real(requests)

    monkeypatch.setattr(cpu_reference, "prepare_all", prepare_all)
    assert main(["run", str(folder), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert len(threads) == 1
    assert threading.get_ident() not in threads
