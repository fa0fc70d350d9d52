"""Cells and what they hold, against a walk over the positions one by one; counted and sorted alike."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cpu_reference
from cpu_reference import holders as reference
from gpu_var import cells
from gpu_var.tables.book import Positions

positions = st.dictionaries(
    st.tuples(st.integers(0, 6), st.integers(0, 19)), st.sampled_from([0.0, 1.0, -2.5]), max_size=60
)


def book_of(held, n_accounts, owner):
    """A book as far as cells look at it; `owner` is each instrument's underlying."""
    rows = sorted(held)
    return SimpleNamespace(
        accounts=SimpleNamespace(house=np.zeros(n_accounts, np.bool_)),
        underlyings=SimpleNamespace(spot=np.ones(4)),
        instruments=SimpleNamespace(kind=np.zeros(len(owner)), underlying=np.array(owner, dtype=np.int32)),
        positions=Positions(
            np.array([a for a, _ in rows], dtype=np.int32),
            np.array([i for _, i in rows], dtype=np.int32),
            np.array([held[key] for key in rows], dtype=np.float64),
        ),
    )


def parts_of(owner, held, rng):
    """The underlyings held, their instruments in an order of their own."""
    wanted = sorted({i for (_, i), quantity in held.items() if quantity})
    return [
        SimpleNamespace(position=u, row=rng.permutation([i for i in wanted if owner[i] == u]))
        for u in sorted({owner[i] for i in wanted})
    ]


def choose(monkeypatch, few, sparse):
    """When to count and when to sort."""
    for module in (cells, reference):
        monkeypatch.setattr(module, "FEW", few)
        monkeypatch.setattr(module, "SPARSE", sparse)


def laid_out(book, found, pools, size):
    """By the reference."""
    return cells.holders_of(book, found, pools, SimpleNamespace(Holders=cpu_reference.Holders, TILE=size))


@pytest.fixture(params=["counting", "sorting"])
def way(request, monkeypatch):
    choose(monkeypatch, *((1, 1 << 40) if request.param == "counting" else (1 << 40, 0)))


@given(
    held=positions,
    owner=st.lists(st.integers(0, 3), min_size=20, max_size=20),
    size=st.integers(1, 9),
    cut=st.lists(st.booleans(), min_size=4, max_size=4),
)
@settings(max_examples=60, deadline=None)
def check(held, owner, size, cut):
    """`cut`: after which underlyings a pool ends."""
    book = book_of(held, 7, owner)
    found = cells.cells_of(book)
    some = [(account, i, held[account, i]) for account, i in sorted(held) if held[account, i]]
    pairs = sorted({(owner[i], account) for account, i, _ in some})
    assert list(zip(found.underlying.tolist(), found.account.tolist(), strict=True)) == pairs
    assert [pairs[c] for c in found.of_position] == [(owner[i], account) for account, i, _ in some]
    assert (found.account.dtype, found.underlying.dtype, found.of_position.dtype) == (np.int32, np.int32, np.int64)

    parts = parts_of(owner, held, np.random.default_rng(size))
    pools = []
    for part in parts:
        if not pools or cut[part.position]:
            pools.append([])
        pools[-1].append(part)
    holders = laid_out(book, found, pools, size)
    for pool in pools:
        place = {int(row): at for at, row in enumerate(np.concatenate([part.row for part in pool]))}
        own = found.of_all([part.position for part in pool])
        assert {u for u, _ in pairs[own]} == {part.position for part in pool}
        tiles = holders.of(pool[0].position)
        assert len(tiles) == -(-len(place) // size)
        for t, tile in enumerate(tiles):
            expected = sorted(
                (pairs.index((owner[i], account)) - own.start, place[i] % size, quantity)
                for account, i, quantity in some
                if i in place and place[i] // size == t
            )
            cell = np.repeat(tile.cell, np.diff(tile.start))
            assert list(zip(cell.tolist(), tile.instrument.tolist(), tile.quantity.tolist(), strict=True)) == expected
            assert (np.diff(tile.cell) > 0).all()
            assert tile.start[0] == 0


def test_cells_and_holdings(way):
    check()


def test_many_positions_are_counted_and_few_are_sorted_alike(monkeypatch):
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 4, 3000).tolist()
    keys = np.unique(rng.integers(0, 50 * 3000, 20_000))
    quantities = rng.integers(-3, 4, len(keys)).tolist()
    held = {divmod(int(key), 3000): float(q) for key, q in zip(keys, quantities, strict=True)}
    book, parts = book_of(held, 50, owner), parts_of(owner, held, rng)
    counted = cells.cells_of(book)
    first = laid_out(book, counted, [[part] for part in parts], 256)
    choose(monkeypatch, 1 << 40, 0)
    by_sorting = cells.cells_of(book)
    for a, b in zip(vars(counted).values(), vars(by_sorting).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    second = laid_out(book, by_sorting, [[part] for part in parts], 256)
    for part in parts:
        choose(monkeypatch, 4096, 8)
        one = first.of(part.position)
        choose(monkeypatch, 1 << 40, 0)
        for left, right in zip(one, second.of(part.position), strict=True):
            for a, b in zip(left, right, strict=True):
                np.testing.assert_array_equal(a, b)


def test_underlyings_that_are_not_laid_out(way):
    """Positions on them stand in no tile of another."""
    held = {(account, i): 1.0 + account + 10 * i for account in range(3) for i in range(8)}
    book = book_of(held, 3, [0, 0, 1, 1, 2, 2, 3, 3])
    found = cells.cells_of(book)
    parts = [SimpleNamespace(position=1, row=np.array([3, 2])), SimpleNamespace(position=3, row=np.array([6, 7]))]
    holders = laid_out(book, found, [[part] for part in parts], 1)
    assert holders.of(0) == holders.of(2) == []
    for part in parts:
        tiles = holders.of(part.position)
        assert [tile.quantity.tolist() for tile in tiles] == [[1.0 + a + 10 * i for a in range(3)] for i in part.row]
        assert [tile.cell.tolist() for tile in tiles] == [[0, 1, 2]] * 2
