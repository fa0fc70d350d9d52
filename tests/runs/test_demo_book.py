"""The demonstration books: the same every time, clean, real open interest, every strategy, at the real marks."""

import csv
import tomllib
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gpu_var.demo import write_demo
from gpu_var.demo.source import DATA
from gpu_var.demo.strategies import STRATEGIES
from gpu_var.engine import price
from gpu_var.market.checks import load

ETH, GOOG = "deribit-eth-2024-01-08", "goog-2015-12-31"


@pytest.fixture(scope="module")
def books(tmp_path_factory) -> dict[str, Path]:
    folders = write_demo(tmp_path_factory.mktemp("demo") / "new")
    return {folder.name: folder for folder in folders}


@pytest.fixture(scope="module")
def prices(books) -> dict[str, dict[str, dict]]:
    result = {}
    for name, folder in books.items():
        book, config, *_ = load(folder, None)
        result[name] = {row["instrument"]: row for row in price(book, config).to_pylist()}
    return result


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def held(folder: Path) -> dict[str, dict[str, float]]:
    """Account → instrument → quantity."""
    result = defaultdict(dict)
    for row in rows(folder / "positions.csv"):
        assert row["instrument"] not in result[row["account"]]
        result[row["account"]][row["instrument"]] = float(row["quantity"])
    return result


def terms(folder: Path) -> dict[str, dict[str, str]]:
    return {row["instrument"]: row for row in rows(folder / "instruments.csv")}


def open_interest(name: str, listed: dict[str, dict[str, str]]) -> dict[str, float]:
    """From the venue's file, by the book's instrument."""
    if name == ETH:
        return {row["instrument_name"]: float(row["open_interest"]) for row in rows(DATA / "deribit_eth_20240108.csv")}
    contract = {
        (row["expiry"][:10].replace("-", ""), float(row["strike"]), row["right"][0].upper()): instrument
        for instrument, row in listed.items()
        if row["kind"] == "option"
    }
    return {
        contract[row["expiry"], float(row["strike"]), row["right"]]: float(row["open_interest"] or 0)
        for row in rows(DATA / "goog_20151231.csv")[1:]
    }


def test_the_same_bytes_again_also_over_an_earlier_demo(books, tmp_path):
    for _ in range(2):
        again = write_demo(tmp_path)
        assert [folder.name for folder in again] == [ETH, GOOG]
        for folder in again:
            files = sorted(file.name for file in folder.iterdir())
            assert files == sorted(file.name for file in books[folder.name].iterdir())
            for file in files:
                assert (folder / file).read_bytes() == (books[folder.name] / file).read_bytes()


@pytest.mark.parametrize("name", [ETH, GOOG])
def test_the_book_is_clean_and_its_files_are_sorted(books, name):
    *_, findings = load(books[name], None)
    assert not findings.errors
    assert not findings.notes
    for table, key in (("positions", ("account", "instrument")), ("accounts", ("account",)), ("history", ("date",))):
        keys = [tuple(row[column] for column in key) for row in rows(books[name] / f"{table}.csv")]
        assert keys == sorted(set(keys))
    assert b"\r" not in (books[name] / "positions.csv").read_bytes()
    assert b'"' not in (books[name] / "positions.csv").read_bytes()


@pytest.mark.parametrize("name", [ETH, GOOG])
def test_longs_and_shorts_are_the_open_interest(books, name):
    listed = terms(books[name])
    real = open_interest(name, listed)
    assert set(real) == {i for i, row in listed.items() if row["kind"] == "option"}
    long, short = defaultdict(float), defaultdict(float)
    for lines in held(books[name]).values():
        for instrument, quantity in lines.items():
            (long if quantity > 0 else short)[instrument] += abs(quantity)
    for instrument, contracts in real.items():
        assert long[instrument] == short[instrument] == contracts
    for instrument, row in listed.items():
        if row["kind"] == "perpetual":
            assert long[instrument] == short[instrument] > 0


@pytest.mark.parametrize("name", [ETH, GOOG])
def test_every_account_holds_its_strategy(books, name):
    listed, positions = terms(books[name]), held(books[name])
    own = "ETH" if name == ETH else "GOOG"
    multiplier = 1.0 if name == ETH else 100.0
    assert 45 <= len(positions) <= 60
    assert {row["account"] for row in rows(books[name] / "accounts.csv")} == set(positions)
    for strategy in STRATEGIES:
        for number in range(1, strategy.accounts + 1):
            lines = dict(positions[f"{strategy.name}-{number}"])
            stock = lines.pop(own, 0.0)
            legs = [
                (row["expiry"], row["right"], float(row["strike"]), q)
                for i, q in lines.items()
                for row in [listed[i]]
                if row["kind"] == "option"
            ]
            assert len(legs) == len(lines)
            check_legs(strategy.name, legs, stock / multiplier)


def check_legs(strategy: str, legs: list[tuple[str, str, float, float]], stock: float) -> None:
    def total(*columns: int) -> dict[tuple, float]:
        sums = defaultdict(float)
        for leg in legs:
            sums[tuple(leg[c] for c in columns)] += leg[3]
        return sums

    calls = sum(q for _, right, _, q in legs if right == "call")
    puts = sum(q for _, right, _, q in legs if right == "put")
    signs = {(right, np.sign(q)) for _, right, _, q in legs}
    shapes = {
        "covered-call": signs == {("call", -1)} and stock == -calls,
        "protective-put": signs == {("put", 1)} and stock == puts,
        "collar": signs == {("put", 1), ("call", -1)} and stock == puts == -calls,
        "naked-put": signs == {("put", -1)},
        "naked-call": signs == {("call", -1)},
        "call-buyer": signs == {("call", 1)} and len(legs) == 1,
        "put-buyer": signs == {("put", 1)} and len(legs) == 1,
        "long-strangle": signs == {("put", 1), ("call", 1)} and puts == calls,
        "short-strangle": signs == {("put", -1), ("call", -1)} and puts == calls,
        "risk-reversal": signs == {("put", -1), ("call", 1)} and puts == -calls,
        "iron-condor": puts == calls == 0 and len(signs) == 4,
        "call-spread": calls == 0 and not puts,
    }
    if strategy.endswith("straddle"):
        direction = 1 if strategy.startswith("long") else -1
        by_strike = total(0, 2, 1)
        assert signs == {("put", direction), ("call", direction)}
        assert all(by_strike[e, k, "call"] == by_strike[e, k, "put"] for e, k, _ in list(by_strike))
    elif strategy == "butterfly":
        moments = defaultdict(float)
        for expiry, _, strike, q in legs:
            moments[expiry] += q * strike
        assert signs == {("call", 1), ("call", -1)}
        assert not any(moments.values())
        assert not any(total(0).values())
    elif strategy == "calendar":
        assert not any(total(2).values())
        assert len(total(0)) >= 2
    else:
        assert shapes[strategy], (strategy, legs, stock)
    if strategy not in ("covered-call", "protective-put", "collar"):
        assert stock == 0


@pytest.mark.parametrize(("name", "tolerance"), [(ETH, 1e-6), (GOOG, 5e-3)])
def test_dealers_are_delta_hedged(books, prices, name, tolerance):
    listed = terms(books[name])
    spot = {row["underlying"]: float(row["spot"]) for row in rows(books[name] / "underlyings.csv")}
    hedged = 0
    for account, lines in held(books[name]).items():
        if not account.startswith(("dealer-", "market-maker")):
            continue
        deltas = [
            q
            * float(listed[i]["multiplier"])
            * (1 / spot[listed[i]["underlying"]] if listed[i]["kind"] == "perpetual" else prices[name][i]["delta"])
            for i, q in lines.items()
        ]
        # the hedge of American options was sized with European deltas
        assert abs(sum(deltas)) <= tolerance * np.abs(deltas).sum() + 1
        hedged += 1
    assert hedged == 7


def test_eth_marks_are_repriced_within_the_tick(books, prices):
    spot = next(float(row["spot"]) for row in rows(books[ETH] / "underlyings.csv") if row["underlying"] == "ETH")
    marks = {row["instrument_name"]: float(row["mark_price"]) for row in rows(DATA / "deribit_eth_20240108.csv")}
    assert len(marks) == 684
    errors = [abs(prices[ETH][i]["price"] / spot - mark) for i, mark in marks.items() if mark >= 0.0001]
    assert len(errors) == 673
    assert max(errors) < 0.0001
    assert max(prices[ETH][i]["price"] / spot for i, mark in marks.items() if mark < 0.0001) < 0.0005


def test_goog_marks_behind_the_surface_are_repriced_within_half_a_cent(books, prices):
    listed = terms(books[GOOG])
    nodes = {(row["expiry"][:10].replace("-", ""), float(row["strike"])) for row in rows(books[GOOG] / "vols.csv")}
    contract = {
        (row["expiry"][:10].replace("-", ""), float(row["strike"]), row["right"][0].upper()): i
        for i, row in listed.items()
        if row["kind"] == "option"
    }
    errors = []
    for row in rows(DATA / "goog_20151231.csv")[1:]:
        key = row["expiry"], float(row["strike"])
        call_side = key[1] >= prices[GOOG][contract[*key, row["right"]]]["forward"]
        if key in nodes and (row["right"] == "C") == call_side:
            errors.append(abs(prices[GOOG][contract[*key, row["right"]]]["price"] - float(row["close"])))
    assert len(errors) == len(nodes) > 300
    assert max(errors) < 0.005


def test_the_valuation_times_are_those_of_the_data():
    moments = {
        name: tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))["as_of"] for name in (ETH, GOOG)
    }
    taken = {int(row["creation_timestamp"]) // 1000 for row in rows(DATA / "deribit_eth_20240108.csv")}
    assert {int(moments[ETH].timestamp())} == taken
    assert moments[GOOG] == datetime(2015, 12, 31, tzinfo=UTC)
    assert rows(DATA / "us_daily.csv")[-1]["date"] == "2015-12-30"
    assert rows(DATA / "crypto_daily.csv")[-1]["date"] == "2023-12-29"


def test_shipped_data_is_small_and_named_with_its_licence():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    files = [file for file in DATA.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 1_000_000
    for file in DATA.glob("*.csv"):
        assert f"`{file.name}`" in text
    licences = list((DATA / "licences").iterdir())
    assert len(licences) == 6
    for licence in licences:
        assert licence.stem.replace("+", "/") in text
