"""Holdings laid out on the device: the reference's, number by number, and a walk over the positions one by one."""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from kernels.host.device import HostDevice
from kernels.host.separate import SeparateDevice
from oracle import books
from oracle.files import write_book

import cpu_reference
from gpu_var import cuda
from gpu_var.cli import main
from gpu_var.cuda.device import current

twin = importlib.import_module("gpu_var.cuda.holders")


class Positions(NamedTuple):
    """The arguments of `Holders` but the last."""

    cell: Any
    instrument: Any
    quantity: Any
    place: Any
    first_cell: Any
    first_instrument: Any


def positions_of(rng: np.random.Generator, n_cells: Any, n_instruments: Any, laid_out: Any, n: int) -> Positions:
    """About n random positions, in a random order, many of them twice.

    Args:
        n_cells: of each underlying.
        n_instruments: of each underlying, numbered in an order of their own.
        laid_out: (n_underlyings,) whether they are; those of another have no place.
    """
    first_cell, first_listed = (np.concatenate([[0], np.cumsum(many)]) for many in (n_cells, n_instruments))
    some = np.flatnonzero((np.array(n_cells) > 0) & (np.array(n_instruments) > 0))
    u = rng.choice(some, n) if some.size else np.zeros(0, dtype=np.int64)
    cell = first_cell[u] + rng.integers(0, 1 << 40, len(u)) % np.array(n_cells)[u]
    instrument = first_listed[u] + rng.integers(0, 1 << 40, len(u)) % np.array(n_instruments)[u]
    first_instrument = np.concatenate([[0], np.cumsum(np.where(laid_out, n_instruments, 0))])
    place = np.full(first_listed[-1], first_instrument[-1], dtype=np.int32)
    names = rng.permutation(first_listed[-1])  # rows of the table
    for v in np.flatnonzero(laid_out):
        own = slice(first_listed[v], first_listed[v + 1])
        place[names[own]] = first_instrument[v] + rng.permutation(n_instruments[v])
    quantity = rng.normal(0.0, 50.0, len(u))
    return Positions(cell, names[instrument].astype(np.int32), quantity, place, first_cell, first_instrument)


def random_positions(rng: np.random.Generator, n: int, cells: int, instruments: int) -> Positions:
    """Up to four underlyings, of which some have no cells, no instruments, or are not laid out."""
    underlyings = int(rng.integers(1, 5))
    n_cells, n_instruments = (
        np.where(rng.random(underlyings) < 0.2, 0, rng.integers(1, most + 1, underlyings))
        for most in (cells, instruments)
    )
    return positions_of(rng, n_cells, n_instruments, rng.random(underlyings) < 0.8, n)


def walked(of: Positions, underlying: int, size: int) -> list[list[tuple[int, int, float]]]:
    """Cell, instrument and quantity of each position in each tile of an underlying; two in one place as they came."""
    begin, end = of.first_instrument[underlying : underlying + 2].tolist()
    tiles: list[list[tuple[int, int, float]]] = [[] for _ in range(begin, end, size)]
    for cell, instrument, quantity in zip(of.cell.tolist(), of.instrument.tolist(), of.quantity.tolist(), strict=True):
        if of.first_cell[underlying] <= cell < of.first_cell[underlying + 1] and begin < end:
            at = int(of.place[instrument]) - begin
            tiles[at // size].append((cell - int(of.first_cell[underlying]), at % size, quantity))
    return [sorted(tile, key=lambda one: one[:2]) for tile in tiles]


def check(of: Positions, size: int, *, walk: bool = False) -> None:
    """Both backends, on the current device."""
    one, other = cpu_reference.Holders(*of, size), cuda.Holders(*of, size)
    get = current().download
    for underlying in range(len(of.first_cell) - 1):
        n_instruments = int(np.diff(of.first_instrument)[underlying])
        tiles, uploaded = one.of(underlying), other.of(underlying)
        assert len(tiles) == len(uploaded) == -(-n_instruments // size)
        for t, (tile, got) in enumerate(zip(tiles, uploaded, strict=True)):
            start = get(got.start)
            np.testing.assert_array_equal(get(got.cell), tile.cell)
            np.testing.assert_array_equal(start - start[0], tile.start)
            own = slice(int(start[0]), int(start[-1]))
            np.testing.assert_array_equal(get(got.instrument)[own], tile.instrument)
            np.testing.assert_array_equal(get(got.quantity)[own], tile.quantity)
            assert (got.cell.dtype, got.start.dtype, got.instrument.dtype) == (np.int32, np.int64, np.int32)
            n_cells = int(np.diff(of.first_cell)[underlying])
            assert tile.cell.max(initial=-1) < got.n_cells <= n_cells
            assert tile.instrument.max(initial=-1) < got.n_instruments <= min(size, n_instruments - t * size)
        if walk:
            rows = [np.repeat(tile.cell, np.diff(tile.start)).tolist() for tile in tiles]
            assert walked(of, underlying, size) == [
                list(zip(row, tile.instrument.tolist(), tile.quantity.tolist(), strict=True))
                for row, tile in zip(rows, tiles, strict=True)
            ]


def check_random(seed: int) -> None:
    """No position, one, some in few cells or in many, some twice, in one tile or in many."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([0, 1, 2, 50, 700]))
    shape = int(rng.choice([1, 4, 300])), int(rng.choice([1, 7, 100]))
    check(random_positions(rng, n, *shape), int(rng.choice([1, 3, 7, 64])), walk=True)


def test_random_positions(separate: SeparateDevice) -> None:
    for seed in range(150):
        check_random(seed)


@pytest.mark.parametrize(("cells", "instruments"), [(40, 300), (3, 12), (100_000, 50)])
def test_many_positions(separate: SeparateDevice, cells: int, instruments: int) -> None:
    """Counted by the reference, and too sparse to be counted."""
    rng = np.random.default_rng(cells)
    check(positions_of(rng, [cells, 0, cells], [instruments, 9, instruments], [True, True, True], 9000), 16)


def test_what_few_numbers_make_of_it(separate: SeparateDevice) -> None:
    """Written out: one underlying that nobody holds, one that is not laid out, one of three tiles, one pair twice."""
    of = Positions(
        cell=np.array([3, 1, 3, 0, 1, 1]),
        instrument=np.array([5, 4, 2, 0, 4, 3]),
        quantity=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        place=np.array([6, 0, 3, 4, 2, 5]),  # instrument 0 is not laid out, 1 is underlying 1's
        first_cell=np.array([0, 1, 1, 4]),
        first_instrument=np.array([0, 0, 1, 6]),
    )
    get = separate.download
    holders = cuda.Holders(*of, 2)
    assert holders.of(0) == []
    (none,) = holders.of(1)
    assert len(none.cell) == 0
    tiles = holders.of(2)  # places 1 and 2, 3 and 4, 5
    assert [get(tile.cell).tolist() for tile in tiles] == [[0], [0, 2], [2]]
    assert [get(tile.start).tolist() for tile in tiles] == [[0, 2], [2, 3, 4], [4, 5]]
    assert get(tiles[0].instrument)[:5].tolist() == [1, 1, 1, 0, 0]
    assert get(tiles[0].quantity)[:5].tolist() == [2.0, 5.0, 6.0, 3.0, 1.0]
    assert [(tile.n_cells, tile.n_instruments) for tile in tiles] == [(3, 2), (3, 2), (3, 1)]


@pytest.mark.parametrize("single", [False, True])
def test_tiles_are_aggregated_to_the_same_bits(separate: SeparateDevice, single: bool) -> None:
    """As tiles uploaded alone, and as by the reference; checked against their matrices."""
    rng = np.random.default_rng(int(single))
    of = positions_of(rng, [5, 0, 4], [9, 3, 20], [True, True, True], 120)
    one, other = cpu_reference.Holders(*of, 7), cuda.Holders(*of, 7)
    pnl = rng.standard_normal((7, 40)).astype(np.float32 if single else np.float64)
    tiles = [pair for u in range(3) for pair in zip(one.of(u), other.of(u), strict=True)]
    assert len(tiles) == 2 + 1 + 3
    for tile, uploaded in tiles:
        expected, alone, together = np.ones((5, 40)), separate.xp.zeros((5, 40)), separate.xp.zeros((5, 40))
        alone[...], together[...] = 1.0, 1.0
        cpu_reference.aggregate(tile, pnl.astype(np.float64), expected)
        cuda.aggregate(tile, separate.upload(pnl), alone)
        cuda.aggregate(uploaded, separate.upload(pnl), together)
        np.testing.assert_array_equal(separate.download(together), separate.download(alone))
        np.testing.assert_allclose(separate.download(together), expected, rtol=1e-12, atol=1e-12)
    last = tiles[-1][1]  # of 6 instruments
    cuda.aggregate(last, separate.upload(pnl[:6]), separate.xp.zeros((4, 40)))
    with pytest.raises(ValueError, match="reach instrument 5, pnl has 5 instruments"):
        cuda.aggregate(last, separate.upload(pnl[:5]), separate.xp.zeros((4, 40)))
    with pytest.raises(ValueError, match="reach cell 3, out has 3 cells"):
        cuda.aggregate(last, separate.upload(pnl), separate.xp.zeros((3, 40)))


class OutOfMemoryError(Exception):
    """As CuPy's, by name."""


def full(*_args: Any, **_more: Any) -> Any:
    """A device without room for what is asked."""
    raise OutOfMemoryError("planted")


@pytest.mark.parametrize("error", [OutOfMemoryError, MemoryError])
def test_the_host_lays_out_where_the_device_has_no_room(
    separate: SeparateDevice, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    of = positions_of(np.random.default_rng(0), [5, 4], [9, 20], [True, True], 120)
    asked = []

    def none(*_args: Any, **_more: Any) -> Any:
        asked.append(1)
        raise error("planted")

    monkeypatch.setattr(type(separate.xp), "argsort", staticmethod(none))
    check(of, 7, walk=True)
    assert asked


def test_a_run_without_room_has_the_same_margins(
    separate: SeparateDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_book(tmp_path / "book", books.crypto(), books.config(fhs={"lookback": 20}))
    given = "run", str(folder), "--quiet", "--backend", "cuda", "--out"
    assert main([*given, str(tmp_path / "device")]) == 0
    monkeypatch.setattr(type(separate.xp), "argsort", staticmethod(full))
    assert main([*given, str(tmp_path / "host")]) == 0
    for name in ("margin.parquet", "breakdown.parquet"):
        assert (tmp_path / "host" / name).read_bytes() == (tmp_path / "device" / name).read_bytes()


def test_another_error_is_not_taken_for_one_of_memory(
    separate: SeparateDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_more: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(type(separate.xp), "argsort", staticmethod(broken))
    with pytest.raises(RuntimeError, match="planted"):
        cuda.Holders(*positions_of(np.random.default_rng(0), [5], [9], [True], 12), 7)


@pytest.mark.parametrize("instrument", [1, 2, 3])
def test_a_position_outside_its_underlying_is_an_error(host: HostDevice, instrument: int) -> None:
    """On an instrument of another underlying, after or before, or of none that is laid out."""
    place, first = np.array([0, 1, 2, 3]), np.array([0, 1, 3])
    cell = 0 if instrument == 1 else 1
    place[2] = 0 if instrument == 2 else 2
    of = Positions(np.array([1, cell]), np.array([1, instrument]), np.ones(2), place, np.array([0, 1, 2]), first)
    said = []
    for backend in (cpu_reference, cuda):
        with pytest.raises(ValueError, match=f"cells of underlying {cell} hold instruments that are not") as raised:
            backend.Holders(*of, 4).of(cell)
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_columns_of_different_lengths_are_an_error(host: HostDevice) -> None:
    of = positions_of(np.random.default_rng(0), [5], [9], [True], 12)
    for backend in (cpu_reference, cuda):
        for name in ("cell", "instrument", "quantity"):
            with pytest.raises(ValueError, match="rows; expected the same"):
                backend.Holders(*of._replace(**{name: getattr(of, name)[1:]}), 7)


def test_places_are_numbered_up_to_63_bits(host: HostDevice) -> None:
    """Beyond it is an error, before any is numbered; so are more cells than an int32 numbers."""
    cells, size = np.array([0, (1 << 31) - 1]), 1 << 31
    assert twin._places(cells, np.array([0, 2 * size]), size).first_row.tolist() == [0, (1 << 31) - 1, (1 << 32) - 2]
    none = np.zeros(0, dtype=np.int64)
    for first_cell, first_instrument, text in (
        (cells, np.array([0, 2 * size + 1]), "places of cells and instruments in tiles of 2147483648; expected fewer"),
        (np.array([0, 1 << 31]), np.array([0, 1]), "an underlying has 2,147,483,648 cells; expected fewer than 2³¹"),
    ):
        with pytest.raises(ValueError, match=text):
            cuda.Holders(none, none, np.zeros(0), none, first_cell, first_instrument, size)


def test_uploads_are_narrow(separate: SeparateDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen bytes a position, and tables of cells and of instruments."""
    sent = []
    upload = separate.upload
    monkeypatch.setattr(separate, "upload", lambda array: sent.append(array) or upload(array))
    of = positions_of(np.random.default_rng(0), [5], [9], [True], 1200)
    cuda.Holders(*of, 7)
    assert sum(array.nbytes for array in sent if len(array) == 1200) == 16 * 1200
    assert all(len(array) <= 9 + 1 for array in sent if len(array) != 1200)
