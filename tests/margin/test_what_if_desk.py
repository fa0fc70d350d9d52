"""What is kept between questions changes no bit of an answer."""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import books
from oracle.files import write_book

import cpu_reference
import gpu_var as gv
from gpu_var.demo import write_demo
from gpu_var.desk import Desk
from gpu_var.margin.measured import Setting
from gpu_var.margin.what_if import Portfolio, comparison, whole_book
from gpu_var.market.checks import load
from gpu_var.slots import Slots
from gpu_var.tables.slices import with_trades

LEVELS = {"fhs": {"lookback": 30}, "monte_carlo": {"paths": 300}}


@given(
    size=st.integers(1, 6),
    asked=st.lists(st.tuples(st.sets(st.integers(0, 11), max_size=6), st.booleans()), max_size=30),
)
def test_what_was_asked_for_longest_ago_gives_way(size, asked):
    """Also where filling fails: what gave way has left all the same, and what was new is not there."""
    slots, content, last = Slots(12, size), {}, {}
    for now, (wanted, succeeds) in enumerate(asked):
        rows = np.array(sorted(wanted)[:size], dtype=np.int64)
        placed, new = slots.place(rows)
        assert len(set(placed.tolist())) == len(rows)
        assert new.tolist() == [row not in last for row in rows.tolist()]
        assert all(content[slot] == row for row, slot in zip(rows[~new], placed[~new], strict=True))
        last.update(dict.fromkeys(rows[~new].tolist(), now))
        stay = {row for row in last if slots.held(np.array([row]))[0]}
        gone = {row: last.pop(row) for row in set(last) - stay}
        assert len(gone) == max(0, len(stay) + len(gone) + int(new.sum()) - size)
        assert max(gone.values(), default=-1) <= min(last.values(), default=now)
        if succeeds:
            slots.keep(rows[new], placed[new])
            last.update(dict.fromkeys(rows[new].tolist(), now))
        content |= {slot: row if succeeds else None for row, slot in zip(rows[new], placed[new], strict=True)}
        assert np.flatnonzero(slots.held(np.arange(12))).tolist() == sorted(last)
        assert slots.free == size - len(last)


def test_more_rows_than_slots_are_refused():
    with pytest.raises(ValueError, match="3 rows; expected at most 2"):
        Slots(5, 2).place(np.arange(3))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder


def setting(demo, name, paths=300, **changes):
    path = next(p for p in demo.iterdir() if name in p.name and (p / "margin.toml").exists())
    book, config, factors, _ = load(path)
    own = {k: v for k, v in {**config.as_dict(), **changes}.items() if v is not None}
    if own.get("monte_carlo"):
        own["monte_carlo"] = {**own["monte_carlo"], "paths": paths}
    return whole_book(book, gv.Config.model_validate(own), factors, threads=2)


def with_desk(whole, account, instruments=None, backend=None):
    """A portfolio whose desk keeps so many instruments."""
    scenarios = sum(len(s.name) for s in whole.sets.values())
    memory = (len(whole.book.instruments.kind) if instruments is None else instruments) * scenarios * 8
    sets = list(whole.sets.values())
    computes = whole.backend if backend is None else backend
    desk = Desk(whole.book, whole.config, whole.factors, sets, computes, whole.threads, whole.precision, memory)
    return Portfolio(whole, account, desk)


def question(whole, seed, n=60):
    draw = np.random.default_rng(seed)
    rows = draw.choice(len(whole.book.instruments.kind), n)
    return rows, draw.integers(-9, 10, n).astype(np.float64)


def answer(portfolio, asked):
    """All numbers of an answer: bits, not values, are compared."""
    after = portfolio.after(*asked)
    table = comparison(portfolio.before, after)
    return [float(x).hex() for c in ("before", "after", "change") for x in table[c].to_numpy()] + [
        after.pnl[model].tobytes() for model in after.pnl
    ]


@pytest.mark.parametrize("name", ["eth", "goog"])
def test_bits_do_not_depend_on_what_was_asked_before(demo, name):
    """A first question, the same after others, after `open`, and where hardly anything can be kept."""
    account, asked = 3, 4
    first = with_desk(setting(demo, name), account)
    want = answer(first, question(setting(demo, name), asked))
    for room in (None, 200, 61):
        whole = setting(demo, name)
        later = with_desk(whole, account, room)
        for seed in (1, 2, 3, 1):
            answer(later, question(whole, seed))
        assert answer(later, question(whole, asked)) == want
        later.open()
        assert answer(later, question(whole, asked)) == want
    whole = setting(demo, name)
    opened = with_desk(whole, account)
    opened.open()
    assert answer(opened, question(whole, asked)) == want


def test_less_room_than_a_question_takes(demo):
    """The sums are then taken in parts: other last bits, but the same ones every time."""
    whole = setting(demo, "eth")
    asked = question(whole, 4)
    wide, narrow = with_desk(whole, 3), with_desk(whole, 3, 7)
    want = answer(narrow, asked)
    answer(narrow, question(whole, 5))
    assert answer(narrow, asked) == want
    for model, pnl in wide.after(*asked).pnl.items():
        np.testing.assert_allclose(narrow.after(*asked).pnl[model], pnl, rtol=1e-12, atol=1e-7)


class Counting:
    """The reference, counting what it revalues."""

    def __init__(self):
        self.elements = 0
        self.backend = SimpleNamespace(**{**vars(cpu_reference), "revalue": self.revalue})

    def revalue(self, instruments, market, shocks, prepared, scenarios, out):
        self.elements += out.size
        cpu_reference.revalue(instruments, market, shocks, prepared, scenarios, out)


@pytest.mark.parametrize("name", ["eth", "goog"])
def test_open_leaves_nothing_to_revalue(demo, name):
    whole, counting = setting(demo, name), Counting()
    portfolio = with_desk(whole, 3, backend=counting.backend)
    own = len(np.unique(whole.book.positions.instrument[whole.book.positions.account == 3]))
    scenarios = sum(len(s.name) for s in whole.sets.values())
    assert counting.elements == own * scenarios
    told = []
    portfolio.open(lambda stage, done: told.append((stage, done)))
    on_held = np.isin(whole.book.instruments.underlying, portfolio.before.cells.underlying)
    assert counting.elements == int(on_held.sum()) * scenarios
    assert {stage for stage, _ in told} == {"instruments"}
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    before = counting.elements
    portfolio.open()
    rows = np.flatnonzero(on_held)
    answer(portfolio, (rows, np.ones(len(rows))))
    assert counting.elements == before


def test_open_takes_free_room_alone(demo):
    """What has been asked for stays."""
    whole, counting = setting(demo, "eth"), Counting()
    portfolio = with_desk(whole, 3, 100, counting.backend)
    asked = question(whole, 1, 30)
    answer(portfolio, asked)
    portfolio.open()
    before = counting.elements
    assert before == 100 * sum(len(s.name) for s in whole.sets.values())
    answer(portfolio, asked)
    assert counting.elements == before


def test_halves_where_memory_is_short(demo):
    """As on a device that has room for 100 scenarios; and a failure leaves nothing half filled."""
    whole = setting(demo, "eth")
    want = answer(with_desk(whole, 3), question(whole, 1))
    most = [100]

    def revalue(instruments, market, shocks, prepared, scenarios, out):
        if out.shape[1] > most[0]:
            raise MemoryError
        cpu_reference.revalue(instruments, market, shocks, prepared, scenarios, out)

    short = with_desk(whole, 3, backend=SimpleNamespace(**{**vars(cpu_reference), "revalue": revalue}))
    most[0] = 0
    with pytest.raises(MemoryError, match=r"a tile of \d+ instruments in a single scenario"):
        answer(short, question(whole, 1))
    most[0] = 100
    assert answer(short, question(whole, 1)) == want


def written(tmp_path, book, **changes):
    path = write_book(tmp_path / "book", book, books.config(**LEVELS | changes))
    book, config, factors, _ = load(path)
    return whole_book(book, config, factors, threads=2)


def test_options_that_have_no_shared_fit(tmp_path):
    """Rates below a dividend yield below 0: between two boundaries. `open` leaves them; bits stay as they are."""
    book = books.equity()
    book["underlyings"][0]["dividend_yield"] = -0.04
    book["rates"] = [{"currency": "USD", "expiry": "2026-03-20", "rate": -0.01}, book["rates"][-1]]
    listed = [
        books.option(f"DIV-P{k}", "DIV", "2026-06-19", float(k), "put", exercise="american", multiplier=100.0)
        for k in (70, 75, 80, 85)
    ]
    book["instruments"] += listed
    whole = written(tmp_path, book, fhs={"lookback": 8}, monte_carlo=None)
    names = whole.book.instruments.name.to_pylist()
    rows = np.array([names.index(one["instrument"]) for one in listed])
    quantities = np.array([2.0, -1.0, 3.0, -5.0])
    want = answer(with_desk(whole, 0), (rows, quantities))
    counting = Counting()
    portfolio = with_desk(whole, 0, backend=counting.backend)
    before = counting.elements
    portfolio.open()
    assert counting.elements - before == 0  # what the account does not hold of DIV are puts
    answer(portfolio, (rows[:1], quantities[:1]))
    answer(portfolio, (rows[2:], quantities[2:]))
    assert answer(portfolio, (rows, quantities)) == want
    assert counting.elements - before == 4 * 8


def test_an_account_that_holds_nothing_opens_what_anybody_holds(tmp_path):
    whole, counting = written(tmp_path, books.crypto()), Counting()
    portfolio = with_desk(whole, whole.book.accounts.name.to_pylist().index("idle"), backend=counting.backend)
    assert counting.elements == 0
    portfolio.open()
    assert counting.elements == len(whole.book.instruments.kind) * (30 + 300)


def test_underlyings_on_which_nothing_can_be_asked_are_left(tmp_path):
    """Nobody holds an option on DIV: a first one would draw other scenarios."""
    book = books.equity()
    book["positions"] = [p for p in book["positions"] if p["instrument"] == "DIV"]
    whole, counting = written(tmp_path, book), Counting()
    portfolio = with_desk(whole, 0, backend=counting.backend)
    before = counting.elements
    portfolio.open()
    assert counting.elements == before


@pytest.mark.parametrize("make", [books.world, books.corners])
def test_cells_that_do_not_trade_keep_their_tails(tmp_path, make):
    """Every number of the account after a trade, against the account made anew of what it then holds."""
    whole = written(tmp_path, make(), allow_unshocked=["iv:CRASH"] if make is books.world else [])
    for account in range(len(whole.book.accounts.house)):
        portfolio = Portfolio(whole, account)
        p = whole.book.positions
        for row in p.instrument[(p.account == account) & (p.quantity != 0.0)].tolist():
            after = portfolio.after(np.array([row]), np.array([0.25]))
            held = {f.name: getattr(after, f.name) for f in fields(Setting)} | {"sets": whole.sets}
            anew = Portfolio(Setting(**held), 0).before
            for model in whole.sets:
                for got, want in zip(after.cell_tails[model], anew.cell_tails[model], strict=True):
                    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(after.core.amount, anew.core.amount, rtol=1e-9, atol=1e-9)
            assert after.failed == anew.failed


def test_a_cell_that_is_not_finite_stays_so_unless_it_is_closed(tmp_path):
    book = books.crypto()
    book["underlyings"].append({"underlying": "VAST", "currency": "USD", "spot": 1e300})
    book["instruments"].append(books.linear("vast", "spot", "VAST"))
    book["positions"] += books.hold("buyer", vast=9e14)
    book["positions"] += books.hold("maker", vast=1e-10)
    book["history"]["spot:VAST"] = books.walk(9, 1e300, 0.03, 45)
    whole = written(tmp_path, book)
    names = whole.book.instruments.name.to_pylist()
    account = whole.book.accounts.name.to_pylist().index("buyer")
    portfolio = Portfolio(whole, account)
    status = gv.run(whole.book, whole.config).margin["status"][account].as_py()
    assert status.startswith("failed: profit and loss on VAST is not finite in fhs:")
    for asked in ("spot", 1.0), ("vast", 1.0), ("vast", -8e14):
        after = portfolio.after(np.array([names.index(asked[0])]), np.array([asked[1]]))
        assert [f"failed: {why}" for why in (*portfolio.before.failed.values(), *after.failed.values())] == [status] * 2
    assert portfolio.after(np.array([names.index("vast")]), np.array([-9e14])).failed == {}


def test_a_scan_alone(demo):
    """No scenarios of any model: the answer is still that of a run."""
    whole = setting(demo, "eth", fhs=None, monte_carlo=None, scan={"price_range": 0.15, "vol_range": 0.25})
    assert not whole.sets
    portfolio = Portfolio(whole, 3)
    portfolio.open()
    asked = question(whole, 1)
    got = {row["component"]: row for row in comparison(portfolio.before, portfolio.after(*asked)).to_pylist()}
    want = gv.run(with_trades(whole.book, 3, *asked), whole.config).margin.slice(3, 1).to_pylist()[0]
    assert got["margin"]["after"] == pytest.approx(want["margin"], rel=1e-9)
    assert got["scan"]["after"] == pytest.approx(want["scan"], rel=1e-9) != got["scan"]["before"]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_positions_are_the_sum_of_their_instruments(tmp_path_factory, data):
    whole = written(tmp_path_factory.mktemp("any"), books.world(), allow_unshocked=["iv:CRASH"])
    desk = Portfolio(whole, 0).desk
    n = len(whole.book.instruments.kind)
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
    quantities = np.array(data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(rows), max_size=len(rows))))
    owner, pnl = desk.pnl(rows, quantities)
    assert owner.tolist() == sorted(set(whole.book.instruments.underlying[rows].tolist()))
    alone = [desk.pnl(rows[i : i + 1], np.ones(1))[1] for i in range(len(rows))]
    for model, got in pnl.items():
        units = np.concatenate([one[model] for one in alone])
        of = whole.book.instruments.underlying[rows][:, None] == owner
        want, size = (of * quantities[:, None]).T @ units, (of * np.abs(quantities)[:, None]).T @ np.abs(units)
        assert (np.abs(got - want) <= 1e-12 * size).all()
