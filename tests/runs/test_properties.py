"""What holds of any book: the measures are coherent, and depend on the book alone, not on how it is written."""

import io
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from oracle import books
from oracle.compare import compare
from oracle.files import write_book

import gpu_var as gv

HELD = ("perp", "perp-inv", "fut-inv", "call-near", "put-mid", "call-far", "put-own", "spot", "fut")
MODELS = {"fhs": {"lookback": 24}, "monte_carlo": {"paths": 64}}
CONFIG = books.config(level=0.9, **MODELS)
FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a run is too slow to be shrunk by the hundred
    suppress_health_check=[HealthCheck.too_slow],
)

quantity = st.floats(-50, 50).map(lambda x: round(x, 3))
portfolio = st.dictionaries(st.sampled_from(HELD), quantity, min_size=1, max_size=5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A new empty folder at every call: Hypothesis asks for many in one test."""
    return lambda: tmp_path_factory.mktemp("book")


def evaluate(folder: Path, book: Any, config: Any = CONFIG, form: str = "csv", **options: Any) -> gv.Run:
    write_book(folder, book, config, form)
    loaded = gv.Config.load(folder / "margin.toml")
    return gv.run(gv.read_book(folder, loaded), loaded, backend="cpu", **options)


def holding(**portfolios: dict[str, float]) -> Any:
    """The crypto book with these accounts for its own, and one that always holds something, an option too."""
    book = books.crypto()
    del book["accounts"]
    portfolios["bystander"] = {"perp": 1.0, "call-far": 1.0}
    book["positions"] = [row for account, held in portfolios.items() for row in books.hold(account, **held)]
    return book


def by_account(run: gv.Run) -> dict[str, dict[str, Any]]:
    return {row["account"]: row for row in run.margin.to_pylist()}


def file_bytes(*tables: pa.Table) -> list[bytes]:
    streams = [io.BytesIO() for _ in tables]
    for table, stream in zip(tables, streams, strict=True):
        pq.write_table(table, stream)
    return [stream.getvalue() for stream in streams]


def all_bytes(run: gv.Run) -> list[bytes]:
    return [*file_bytes(run.margin, run.breakdown), *(run.pnl[model].tobytes() for model in sorted(run.pnl))]


@FEW
@given(st.lists(portfolio, min_size=2, max_size=4))
def test_measures_are_coherent(folders, portfolios):
    merged: dict[str, float] = {}
    for held in portfolios:
        for name, q in held.items():
            merged[name] = merged.get(name, 0.0) + q
    run = evaluate(folders(), holding(merged=merged, **{f"part{i}": held for i, held in enumerate(portfolios)}))
    rows = by_account(run)
    del rows["bystander"]
    whole, parts = rows.pop("merged"), rows.values()
    tiny = 1e-9 * (1 + sum(row["fhs_worst"] + row["mc_worst"] for row in parts))
    for row in (whole, *parts):
        for model in ("fhs", "mc"):
            assert 0 <= row[f"{model}_var"] <= row[f"{model}_es"] + tiny
            assert row[f"{model}_es"] <= row[f"{model}_worst"] + tiny
        assert row["core"] == max(row["fhs_es"], row["mc_es"])
        assert row["margin"] == pytest.approx(row["core"] + row["concentration"] + row["liquidity"])
    for column in ("fhs_es", "mc_es", "fhs_worst", "mc_worst", "liquidity"):  # the sub-additive ones: not VaR
        assert whole[column] <= sum(row[column] for row in parts) + tiny, column


@FEW
@given(portfolio, st.floats(1, 40))
def test_a_larger_position_of_the_same_kind(folders, held, factor):
    rows = by_account(evaluate(folders(), holding(one=held, more={k: q * factor for k, q in held.items()})))
    one, more = rows["one"], rows["more"]
    for column in ("fhs_var", "fhs_es", "fhs_worst", "mc_var", "mc_var_se", "mc_es", "mc_es_se", "core", "liquidity"):
        assert more[column] == pytest.approx(factor * one[column], rel=1e-9, abs=1e-7), column
    assert more["net_option_value"] == pytest.approx(factor * one["net_option_value"], rel=1e-9, abs=1e-7)
    assert more["concentration"] >= factor * one["concentration"] * (1 - 1e-9) - 1e-7


@FEW
@given(portfolio)
def test_an_exact_hedge_is_riskless(folders, held):
    book = holding(long=held, both=held)
    book["positions"] += books.hold("both", **{name: -q for name, q in held.items()})
    row = by_account(evaluate(folders(), book))["both"]
    assert row["margin"] == row["fhs_worst"] == row["mc_worst"] == row["net_option_value"] == 0


@FEW
@given(portfolio, portfolio, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(folders, first, second, draw):
    book = holding(first=first, second=second)
    ordered = evaluate(folders(), book)
    for table in ("positions", "forwards", "vols", "rates"):
        draw.shuffle(book[table])
    assert all_bytes(evaluate(folders(), book)) == all_bytes(ordered)


def test_the_order_of_instruments_and_underlyings_moves_rounding_alone(folders):
    config = books.config(allow_unshocked=["iv:CRASH"], **MODELS)
    ordered, book = evaluate(folders(), books.world(), config), books.world()
    book["instruments"].reverse()
    book["underlyings"].reverse()
    turned = evaluate(folders(), book, config)
    for table in ("margin", "breakdown"):
        for row, want in zip(getattr(turned, table).to_pylist(), getattr(ordered, table).to_pylist(), strict=True):
            for column, value in want.items():
                compare(row[column], value, (row["account"], column), 1e3, rel=1e-12)


@FEW
@given(portfolio, st.sampled_from([0.5, 0.25, -3.0]))
def test_rows_of_positions_add_up(folders, held, share):
    # Quantities in eighths, so that the shares of a row add up to it without rounding.
    held = {name: round(q * 8) / 8 for name, q in held.items()}
    whole = holding(a=held)
    split = holding(a={name: q * share for name, q in held.items()})
    split["positions"] += books.hold("a", **{name: q * (1 - share) for name, q in held.items()})
    assert all_bytes(evaluate(folders(), split)) == all_bytes(evaluate(folders(), whole))


@FEW
@given(portfolio, st.sampled_from(HELD))
def test_a_zero_position_changes_nothing(folders, held, name):
    with_zero = holding(a=held)
    with_zero["positions"] += books.hold("a", **{name: 0.0})
    without = evaluate(folders(), holding(a=held))
    assert all_bytes(evaluate(folders(), with_zero)) == all_bytes(without)


@FEW
@given(portfolio, portfolio)
def test_accounts_do_not_see_each_other(folders, first, second):
    alone = by_account(evaluate(folders(), holding(a=first)))["a"]
    assert by_account(evaluate(folders(), holding(a=first, b=second, c=first)))["a"] == alone


def test_a_book_that_holds_nothing_owes_nothing(folders):
    book = holding(flat={"perp": 0.0, "call-far": 0.0}, closed={"put-mid": 2.0})
    book["positions"] = [row for row in book["positions"] if row["account"] != "bystander"]
    book["positions"] += books.hold("closed", **{"put-mid": -2.0})
    run = evaluate(folders(), book)
    assert run.breakdown.num_rows == 0
    assert [row["account"] for row in run.margin.to_pylist()] == ["closed", "flat"]
    for row in run.margin.to_pylist():
        assert row["margin"] == row["core"] == row["fhs_es"] == row["mc_es_se"] == row["liquidity"] == 0
        assert row["core_model"] is None
        assert row["status"] == "ok"


def many() -> Any:
    """Enough accounts and instruments that threads have something to share out."""
    draw = random.Random(5)
    names = [*HELD, *(f"c{i}" for i in range(300))]
    book = holding(**{f"acct{a}": {draw.choice(names): draw.gauss(0, 9) for _ in range(6)} for a in range(200)})
    expiries = ["2026-02-27", "2026-06-26", "2027-01-29"]
    book["instruments"] += [
        books.option(name, "BTC", draw.choice(expiries), draw.uniform(3e4, 1e5), draw.choice(["call", "put"]))
        for name in names[len(HELD) :]
    ]
    return book


def test_threads_change_no_byte(folders):
    config = books.config(level=0.99, fhs={"lookback": 40}, monte_carlo={"paths": 3000})
    one, two = (evaluate(folders(), many(), config, threads=n) for n in (1, 2))
    assert all_bytes(one) == all_bytes(two)


@pytest.mark.parametrize("make", [books.crypto, books.world])
def test_the_format_of_the_tables_changes_no_byte(folders, make):
    config = books.config(allow_unshocked=["iv:CRASH"], **MODELS)
    found = [all_bytes(evaluate(folders(), make(), config, form)) for form in ("csv", "parquet", "arrow")]
    assert found[0] == found[1] == found[2]


@FEW
@given(st.floats(-40, 60), st.sampled_from(["2020-06-16", "2020-12-15", "2020-05-10"]))
def test_put_call_parity_in_every_scenario(folders, strike, expiry):
    # carry none, no rates: call − put − future is worth −strike in every scenario, and its P&L nothing.
    book = books.oil()
    book["rates"] = [row for row in book["rates"] if row["currency"] != "USD"]
    book["instruments"] += [
        books.option("C", "CL", expiry, strike, "call", multiplier=10.0),
        books.option("P", "CL", expiry, strike, "put", multiplier=10.0),
        books.linear("F", "future", "CL", expiry=expiry, multiplier=10.0),
    ]
    book["positions"] = books.hold("box", C=1.0, P=-1.0, F=-1.0)
    run = evaluate(folders(), book, books.config(as_of="2020-05-06", fhs={"lookback": 40}))
    assert abs(run.pnl["fhs"]).max() < 1e-9
