"""A plan: every account and every instrument that is held is in it once, whatever the sizes."""

from dataclasses import replace

import numpy as np
import pytest

import gpu_var as gv
from gpu_var.batch import plan as planning
from gpu_var.batch.plan import plan_shards
from gpu_var.tables.config_batch import Batch


@pytest.fixture
def house(book):
    config = gv.Config.load(book / "margin.toml")
    return gv.read_book(book, config), config


@pytest.mark.parametrize("revaluations", [1, 30_000, 100_000, 10**12])
@pytest.mark.parametrize("megabytes", [1, 2, 10**6])
def test_everything_is_in_it_once(house, revaluations, megabytes):
    book, config = house
    sizes = Batch(shard_revaluations=revaluations, chunk_megabytes=megabytes)
    plan = plan_shards(book, config.model_copy(update={"batch": sizes}), 10_060)
    n = len(book.accounts.house)
    assert [a for chunk in plan.chunks for a in chunk] == list(range(n))
    assert max(map(len, plan.chunks)) * 10_060 * 8 <= megabytes << 20
    assert np.concatenate(plan.groups).tolist() == [0, 1, 2, 3, 4]
    held = np.flatnonzero(book.held)
    assert sorted(np.concatenate(plan.rows).tolist()) == held.tolist()
    for group, rows in zip(plan.groups, plan.rows, strict=True):
        assert set(book.instruments.underlying[rows].tolist()) == set(group.tolist())
    assert plan.revaluations.shape == (len(plan.chunks), len(plan.groups))
    if len(plan.chunks) == 1:
        assert plan.revaluations.sum() == len(held) * 10_060
    assert len(plan.groups) == {1: 5, 30_000: 5, 10**12: 1}.get(revaluations, len(plan.groups))


def test_shards_are_small_where_their_results_are(house, monkeypatch):
    """20 instruments, some 290,000 revaluations: a shard an underlying, or the accounts' results only once."""
    book, config = house
    monkeypatch.setattr(planning, "_SMALL", 50_000)
    for revaluations, backend, groups in [(16, "cpu", 1), (0.1, "cpu", 5), (0.1, "cuda", 1)]:
        monkeypatch.setattr(planning, "_FOR_A_RESULT", revaluations)
        config = config.model_copy(update={"batch": Batch()})
        assert len(plan_shards(book, config, 10_060, backend).groups) == groups


def test_what_a_chunk_does_not_hold_is_no_work(house):
    book, config = house
    p = book.positions
    few = replace(
        p, quantity=np.where((p.account < 15) & (book.instruments.underlying[p.instrument] == 1), 0.0, p.quantity)
    )
    sizes = Batch(shard_revaluations=1, chunk_megabytes=1)
    plan = plan_shards(replace(book, positions=few), config.model_copy(update={"batch": sizes}), 10_060)
    assert plan.revaluations[0, 1] == 0
    assert plan.revaluations[-1, 1] > 0


def test_a_book_that_nobody_holds_has_one_chunk_and_no_group(house):
    book, config = house
    none = replace(book.positions, quantity=np.zeros(len(book.positions.quantity)))
    plan = plan_shards(replace(book, positions=none), config.model_copy(update={"batch": Batch()}), 500)
    assert len(plan.chunks) == 1
    assert plan.groups == ()
    assert plan.revaluations.shape == (1, 0)
