"""What if an account traded: the number of a run over the book that has traded."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

import gpu_var as gv
from gpu_var.cli import main
from gpu_var.demo import write_demo
from gpu_var.market.checks import load
from gpu_var.tables.slices import of_accounts, with_trades

METHODS = {
    "as it is": {},
    "scan": {"scan": {"price_range": 0.15, "vol_range": 0.25}},
    "stans": {"preset": "stans", "monte_carlo": {"copula": "student_t", "dof": 5.0}},
    "charges": {
        "options": {"gamma_move": 0.1, "vega_points": 0.05, "short_minimum": 0.01},
        "diversification": {"cap": 0.8},
        "correlation_break": {},
        "initial": {"factor": 1.2},
        "maintenance": {"factor": 0.8},
    },
    "overlapping": {"holding_period_days": 3, "fhs": {"horizon": "overlapping"}},
}


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    eth, goog = sorted(path for path in folder.iterdir() if (path / "margin.toml").exists())
    return {"eth": eth, "goog": goog}


def configured(path, extra):
    own = gv.Config.load(path / "margin.toml").as_dict()
    for name, value in extra.items():
        own[name] = {**own.get(name, {}), **value} if isinstance(value, dict) else value
    own["monte_carlo"] = {**own["monte_carlo"], "paths": 2000}
    return gv.Config.model_validate(own)


def trades(book, seed, n=40):
    draw = np.random.default_rng(seed)
    rows = draw.choice(len(book.instruments.kind), n)
    return rows, draw.integers(-9, 10, n).astype(np.float64)


def as_table(book, rows, quantity):
    return pa.table({"instrument": book.instruments.name.take(pa.array(rows)), "quantity": quantity})


def check(run, book, config, row, rows, quantity):
    """`what_if` against a run over the whole book with the trades in it; worst relative difference."""
    name = book.accounts.name[row].as_py()
    got = {r["component"]: r for r in run.what_if(as_table(book, rows, quantity), name).to_pylist()}
    before = run.margin.slice(row, 1).to_pylist()[0]
    after = gv.run(with_trades(book, row, rows, quantity), config).margin.slice(row, 1).to_pylist()[0]
    assert set(got) == {k for k, v in after.items() if isinstance(v, float)}
    for component, r in got.items():
        # Greeks of American options move by up to 1e-9 of the spot with what else is priced beside them.
        for want, found in ((before[component], r["before"]), (after[component], r["after"])):
            assert math.isclose(found, want, rel_tol=1e-9, abs_tol=1e-6), (component, found, want)
        assert r["change"] == pytest.approx(r["after"] - r["before"], rel=1e-12)
    return got


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["eth", "goog"])
def test_is_the_number_of_a_run(books, name, method):
    book, config = gv.read_book(books[name]), configured(books[name], METHODS[method])
    run = gv.run(book, config)
    for seed, row in ((1, 3), (2, len(book.accounts.house) - 1)):
        got = check(run, book, config, row, *trades(book, seed))
        assert got["margin"]["change"] != 0.0
    # Once more, from what has been kept, and the first again: nothing has leaked from one question into the next.
    check(run, book, config, 3, *trades(book, 3))
    check(run, book, config, 3, *trades(book, 1))


def test_selling_out(books):
    book, config = gv.read_book(books["eth"]), configured(books["eth"], {})
    run = gv.run(book, config)
    own = book.positions.account == 5
    rows, quantity = book.positions.instrument[own].astype(np.int64), -book.positions.quantity[own]
    got = check(run, book, config, 5, rows, quantity)
    assert got["margin"]["after"] == 0.0


def test_a_first_trade_in_an_underlying_draws_other_scenarios(books):
    book, config = gv.read_book(books["eth"]), configured(books["eth"], {})
    names = book.instruments.name.to_pylist()
    btc = book.underlyings.name.to_pylist().index("BTC")
    kept = np.flatnonzero(book.instruments.underlying[book.positions.instrument] != btc)
    positions = replace(
        book.positions,
        account=book.positions.account[kept],
        instrument=book.positions.instrument[kept],
        quantity=book.positions.quantity[kept],
    )
    book = replace(book, positions=positions)
    run = gv.run(book, config)
    assert not any(name.startswith("spot:BTC") for name in run.measured.factors.names)
    got = check(run, book, config, 2, np.array([names.index("BTC")]), np.array([3.0]))
    assert got["margin"]["change"] > 0.0


def test_selling_the_last_of_an_underlying_draws_other_scenarios(books):
    """Whether another account holds it decides; the account's own other positions do not."""
    book, config = gv.read_book(books["eth"]), configured(books["eth"], {})
    names = book.instruments.name.to_pylist()
    btc = book.underlyings.name.to_pylist().index("BTC")
    on_btc = book.instruments.underlying[book.positions.instrument] == btc
    none = replace(book, positions=replace(book.positions, quantity=np.where(on_btc, 0.0, book.positions.quantity)))
    last, sold = np.array([names.index("BTC")]), np.array([-3.0])
    alone = with_trades(none, 2, last, -sold)
    for whole, other in ((alone, True), (with_trades(alone, 4, last, -sold), False)):
        run = gv.run(whole, config)
        check(run, whole, config, 2, last, sold)
        factors = run._portfolios[2].after(last, sold).factors.names
        assert (factors != run.measured.factors.names) == other


def test_an_account_without_positions_and_trades_that_net_to_nothing(books):
    book, config = gv.read_book(books["eth"]), configured(books["eth"], {})
    empty = replace(
        book,
        positions=replace(book.positions, quantity=np.where(book.positions.account == 4, 0.0, book.positions.quantity)),
    )
    run = gv.run(empty, config)
    rows, quantity = trades(book, 5)
    check(run, empty, config, 4, rows, quantity)
    nothing = check(run, empty, config, 4, np.concatenate([rows, rows]), np.concatenate([quantity, -quantity]))
    assert nothing["margin"]["after"] == 0.0


def test_several_accounts_at_once(books):
    book, config = gv.read_book(books["eth"]), configured(books["eth"], {})
    run = gv.run(book, config)
    table = pa.table(
        {"account": [book.accounts.name[a].as_py() for a in (7, 1, 7)], "instrument": ["ETH", "ETH", "BTC"],
         "quantity": [5.0, -5.0, 1.0]}
    )  # fmt: skip
    got = run.what_if(table)
    assert got.column_names == ["account", "component", "before", "after", "change"]
    assert dict.fromkeys(got["account"].to_pylist()) == dict.fromkeys(book.accounts.name[a].as_py() for a in (1, 7))
    alone = run.what_if(table.filter(pa.array([True, False, True])))
    assert alone.to_pylist() == [r for r in got.to_pylist() if r["account"] == table["account"][0].as_py()]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"quantity": [1.0]}, "column instrument: missing"),
        ({"instrument": ["ETH", "no"], "quantity": [1.0, 1.0]}, "trades row 2, column instrument: 'no' is not"),
        ({"instrument": ["ETH"], "quantity": [math.nan]}, "trades row 1, column quantity: nan is not finite"),
        ({"instrument": ["ETH"], "quantity": [None]}, "trades row 1, column quantity: nan is not finite"),
    ],
)
def test_wrong_trades(books, table, said):
    book, config = gv.read_book(books["eth"]), configured(books["eth"], {"monte_carlo": {"paths": 100}})
    run = gv.run(of_accounts(book, np.arange(3)), config)
    with pytest.raises(gv.InputError, match=said):
        run.what_if(table, book.accounts.name[0].as_py())


def test_the_command(books, tmp_path, capsys):
    file, out = tmp_path / "trades.csv", tmp_path / "out.parquet"
    file.write_text("instrument,quantity\nETH,-5\nETH,2\nBTC,1\n")
    book, config, _, _ = load(books["eth"])
    name = book.accounts.name[2].as_py()
    assert main(["what-if", str(books["eth"]), name, str(file), "--out", str(out)]) == 0
    assert f"{name} and 3 trades, in USD" in capsys.readouterr().out
    want = gv.run(book, config).what_if({"instrument": ["ETH", "BTC"], "quantity": [-3.0, 1.0]}, name)
    assert pa.parquet.read_table(out).to_pylist() == want.drop_columns("account").to_pylist()


def test_bad_input_of_the_command(books, tmp_path, capsys):
    file = tmp_path / "trades.csv"
    file.write_text("instrument,quantity\nETHH,x\n")
    assert main(["what-if", str(books["eth"]), "long-straddle-1", str(file)]) == 2
    said = capsys.readouterr().err
    assert "trades.csv line 2, column quantity: 'x' is not a number" in said
    assert "trades.csv line 2, column instrument: 'ETHH' is not in instruments" in said
    assert main(["what-if", str(books["eth"]), "long-stradle-1", str(file)]) == 2
    assert "account 'long-stradle-1' is not in the book; the nearest are 'long-straddle-1'" in capsys.readouterr().err
    assert main(["what-if", str(books["eth"]), "long-straddle-1", str(tmp_path / "no.csv")]) == 2
    assert "no.csv: no such file" in capsys.readouterr().err
    assert main(["what-if", str(books["eth"]), "long-straddle-1", str(file), "--out", str(tmp_path / "x.txt")]) == 2
