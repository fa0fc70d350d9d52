"""The library that ships: against published moves, and its scenarios on the factors of a book."""

import csv
import math
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from gpu_var.market.checks import load
from gpu_var.scenarios.language import ORIGINS, stress_scenarios
from gpu_var.scenarios.library import FAMILIES, Move, library, library_moves, library_table, movers
from gpu_var.tables.config_stress_test import Proxy, StressFile
from gpu_var.tables.findings import InputError

DATA = files("gpu_var.scenarios.library") / "data"


def move(name, factor):
    shipped = library()
    return shipped.move[shipped.name.index(name), shipped.column(factor)]


@pytest.mark.parametrize(
    ("name", "factor", "published", "digits"),
    [
        # One day of the S&P 500, in per cent: S&P Dow Jones Indices.
        ("history:black-monday-1987:1d-down", "SPX", -0.2047, 4),
        ("history:lehman-2008-to-november:1d-up", "SPX", 0.1158, 4),
        ("history:lehman-2008:1d-down", "SPX", -0.0881, 4),
        ("history:covid-2020:1d-down", "SPX", -0.1198, 4),
        ("history:covid-2020:1d-up", "SPX", 0.0929, 4),
        ("history:tariffs-2025:1d-down", "SPX", -0.0597, 4),
        ("history:covid-2020", "SPX", -0.339, 3),
        # VIX from 17.31 to 37.32 on 5 February 2018: Cboe.
        ("history:volmageddon-2018:1d-down", "VIX", 37.32 / 17.31 - 1, 4),
        # VIX from 57.83 to 82.69 on 16 March 2020: Cboe.
        ("history:covid-2020:1d-down", "VIX", 82.69 / 57.83 - 1, 4),
        # WTI at Cushing from 18.31 to -36.98 on 20 April 2020: EIA.
        ("history:negative-wti-2020:1d-down", "WTI_USD", -55.29, 2),
        ("history:negative-wti-2020:1d-down", "WTI", -55.29 / 18.31, 4),
        ("history:negative-wti-2020:1d-up", "WTI_USD", 45.89, 2),
        # A euro from 1.2010 to 1.0280 francs on 15 January 2015: ECB.
        ("history:snb-2015:1d-down", "EURCHF", 1.0280 / 1.2010 - 1, 4),
        # Federal Reserve Board (2025): stocks fall by 50 %, volatility peaks at 65 from 27.6, bills fall to 0.1 %.
        ("frb:2025:equity-low", "SPX", -0.50, 2),
        ("frb:2025:volatility-high", "VIX", 65.0 / 27.6 - 1, 4),
        ("frb:2025:path/2", "UST3M", 0.001 - 0.044, 5),
        # Proposed for 2026: stocks fall by 54 %, volatility peaks at 72 from 23.2.
        ("frb:2026-proposed:equity-low", "SPX", -0.54, 2),
        ("frb:2026-proposed:volatility-high", "VIX", 72.0 / 23.2 - 1, 4),
    ],
)
def test_published_moves(name, factor, published, digits):
    assert move(name, factor) == pytest.approx(published, abs=0.6 * 10**-digits)


def test_every_event_has_its_scenarios():
    shipped = library()
    assert len(set(shipped.name)) == len(shipped.name)
    assert Counter(shipped.family) == {"history": 96, "frb": 36, "grid": 44}
    assert set(shipped.family) == set(FAMILIES)
    events = list(csv.DictReader((DATA / "events.csv").read_text(encoding="utf-8").splitlines()))
    assert len(events) == 25
    for event in events:
        name = f"history:{event['name']}"
        assert shipped.source[shipped.name.index(name)].startswith(f"{event['title']}: ")
        down = shipped.name.index(f"{name}:1d-down")
        assert shipped.begin[down] == shipped.end[down]
        assert shipped.move[down, shipped.column(event["anchor"])] < 0
        if f"{name}:1d-up" in shipped.name:
            assert move(f"{name}:1d-up", event["anchor"] if "wti" not in name else "WTI_USD") > 0
    assert all(shipped.source)
    assert (np.isfinite(shipped.move).sum(axis=1) >= 1).all()


def test_extremes_are_never_smaller_than_the_whole():
    shipped = library()
    for name in shipped.name:
        if name.endswith(":extremes"):
            own, whole = (shipped.move[shipped.name.index(n)] for n in (name, name.removesuffix(":extremes")))
            known = ~np.isnan(whole)
            assert (np.abs(own[known]) >= np.abs(whole[known])).all()


def test_the_steps_of_a_path_hold_those_before():
    shipped = library()
    rows = [row for row, of in enumerate(shipped.of) if of == "frb:2025:path"]
    assert shipped.step[rows].tolist() == list(range(1, 14))
    assert [shipped.end[row] for row in rows][:4] == ["2025 Q1", "2025 Q2", "2025 Q3", "2025 Q4"]
    assert {shipped.begin[row] for row in rows} == {"2024 Q4"}
    # 58,399.3 before the path; 34,508.6 after one quarter, 58,399.3 again after thirteen.
    assert shipped.move[rows[0], shipped.column("SPX")] == pytest.approx(34_508.6 / 58_399.3 - 1, abs=1e-6)
    assert shipped.move[rows[-1], shipped.column("SPX")] == 0.0


def test_the_mapping_of_the_federal_reserve_is_written_down():
    mapping = list(csv.DictReader((DATA / "frb_mapping.csv").read_text(encoding="utf-8").splitlines()))
    shipped = library()
    known = np.isfinite(shipped.move[shipped.name.index("frb:2025:path/1")])
    assert {row["factor"] for row in mapping} == {f for f, k in zip(shipped.factor, known, strict=True) if k}
    for row in mapping:
        assert (row["change"] == "difference") == shipped.difference[shipped.column(row["factor"])]


def test_the_grid_is_spot_by_volatility():
    assert move("grid:spot-40:vol+100", "spot:*") == -0.4
    assert move("grid:spot+20:vol-30", "iv:*") == -0.3
    assert "grid:spot+0:vol+0" not in library().name


def test_the_table():
    table = library_table()
    assert table.column_names[:5] == ["name", "family", "from", "to", "source"]
    assert table.column_names[5:] == list(library().factor)
    rows = {row["name"]: row for row in table.to_pylist()}
    crash = rows["history:black-monday-1987:1d-down"]
    assert (crash["from"], crash["to"], crash["VIX"], crash["BTC"]) == ("1987-10-19", "1987-10-19", None, None)
    assert crash["UST10Y"] == pytest.approx(-0.0008)
    assert rows["grid:spot-40:vol+100"]["from"] is None


def test_the_data_is_small_and_named_with_its_licence():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    licences = list((DATA / "licences").iterdir())
    assert len(licences) == 6
    for licence in licences:
        assert licence.name.removesuffix(".txt").replace("+", "/") in text
    assert sum(len(file.read_bytes()) for file in DATA.iterdir() if file.is_file()) < 100_000
    for factor in library().factor:
        assert factor in text or factor.startswith(("UST", "spot", "iv"))


FX = {"EUR": 1.1, "JPY": 0.0065, "CHF": 1.12, "GBP": 1.3, "USDC": 1.0, "SEK": 0.1, "USD": 1.0}


def book(folder, underlyings, factors, base="USD"):
    """A book that holds a future and an option on each underlying: name -> (currency, dynamics); the history of
    constant levels only names the factors.
    """
    folder.mkdir()
    tables = {
        "positions": ["account,instrument,quantity", *(f"A,{n}-F,1\nA,{n}-C,1" for n in underlyings)],
        "instruments": [
            "instrument,kind,underlying,expiry,strike,right,iv",
            *(f"{n}-F,future,{n},2026-06-26,,,\n{n}-C,option,{n},2026-06-26,100,call,0.3" for n in underlyings),
        ],
        "underlyings": ["underlying,currency,spot,dynamics", *(f"{n},{c},80,{d}" for n, (c, d) in underlyings.items())],
        "fx": ["currency,rate", *(f"{c},{rate / FX[base]}" for c, rate in FX.items())],
        "history": [f"date,{','.join(factors)}", *(f"2026-01-0{day}{',1' * len(factors)}" for day in (1, 2))],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    period = '[stress]\nperiod = [["2026-01-02", "2026-01-02"]]\n'
    (folder / "margin.toml").write_text(f'as_of = 2026-01-05\nbase_currency = "{base}"\n{period}')
    return load(folder)[:3]


def shocks_of(loaded, **keys):
    """(origin, shock) by factor of each scenario: relative changes, or differences."""
    found = stress_scenarios(StressFile.model_validate(keys), *loaded)
    factors = loaded[2]
    shock = np.where(factors.additive, found.move, np.expm1(found.move))
    return {
        name: dict(zip(factors.names, zip([ORIGINS[c] for c in origin], row, strict=True), strict=True))
        for name, origin, row in zip(found.set.name, found.origin, shock, strict=True)
    }, found


def test_factors_of_like_names_move(tmp_path):
    names = ("SPY", "qqq", "BTC-PERPETUAL", "eth", "GOOG", "GC", "XBTUSD")
    underlyings = dict.fromkeys(names, ("USD", "lognormal"))
    factors = [f for n in names for f in (f"spot:{n}", f"iv:{n}:30d")] + ["rate:USD:1y", "forward:SPY:90d"]
    rows, found = shocks_of(book(tmp_path / "b", underlyings, factors), library=["history:covid-2020"])
    crash = rows["history:covid-2020"]
    proxied = {
        "spot:SPY": "SPX",
        "forward:SPY:90d": "SPX",
        "iv:SPY:30d": "VIX",
        "spot:qqq": "NDX_COMP",
        "iv:qqq:30d": "VIX",
        "spot:BTC-PERPETUAL": "BTC",
        "spot:XBTUSD": "BTC",
        "spot:eth": "ETH",
        "spot:GC": "GLD",
        "rate:USD:1y": "UST10Y",
    }
    for name, (origin, shock) in crash.items():
        expected = move("history:covid-2020", proxied[name]) if name in proxied else 0.0
        assert (origin, shock) == ("proxy" if name in proxied else "unmoved", pytest.approx(expected))
    assert found.set.notes == (
        "scenarios.toml: no event of the library moves iv:BTC-PERPETUAL:30d, iv:GC:30d, iv:GOOG:30d, iv:XBTUSD:30d, "
        "iv:eth:30d and 1 more; [proxies], [betas] or fill would",
    )


def test_the_users_own_proxies_come_first(tmp_path):
    """GOOG by SPX with a beta of 1.3: growth 0.66075^1.3; its volatility then by VIX; SPY by nothing."""
    names = ("SPY", "GOOG", "ETH")
    factors = [f for n in names for f in (f"spot:{n}", f"iv:{n}:30d")]
    proxies = {
        "spot:*": "BTC",
        "spot:GOOG": {"factor": "SPX", "beta": 1.3},
        "spot:SPY": "none",
        "iv:ETH:*": {"factor": "VIX", "beta": 0.5},
    }
    loaded = book(tmp_path / "b", dict.fromkeys(names, ("USD", "lognormal")), factors)
    rows, found = shocks_of(loaded, library=["history:covid-2020", "grid:spot-10:vol+0"], proxies=proxies)
    spx, vix, btc = (move("history:covid-2020", name) for name in ("SPX", "VIX", "BTC"))
    crash = rows["history:covid-2020"]
    assert crash["spot:GOOG"] == ("proxy", pytest.approx((1 + spx) ** 1.3 - 1))
    assert crash["iv:GOOG:30d"] == ("proxy", pytest.approx(vix))
    assert crash["spot:SPY"] == ("unmoved", 0.0)
    assert crash["iv:SPY:30d"] == ("unmoved", 0.0)
    assert crash["spot:ETH"] == ("proxy", pytest.approx(btc))
    assert crash["iv:ETH:30d"] == ("proxy", pytest.approx((1 + vix) ** 0.5 - 1))
    assert rows["grid:spot-10:vol+0"]["spot:SPY"] == ("named", pytest.approx(-0.1))
    by = {
        name: [moves[code] for code in found.taken[:1, f] if code >= 0]
        for f, (name, moves) in enumerate(zip(loaded[2].names, found.by, strict=True))
    }
    assert by["spot:GOOG"] == ["1.3 SPX"]
    assert by["spot:SPY"] == []


def test_what_stands_in_where_a_factor_was_not_measured(tmp_path):
    """On 15 October 2008 the Nasdaq's move is not known; the S&P's is. Ether had no price in 2015."""
    loaded = book(
        tmp_path / "b",
        dict.fromkeys(("QQQ", "ETH"), ("USD", "lognormal")),
        ["spot:QQQ", "iv:QQQ:1d", "spot:ETH", "iv:ETH:1d"],
    )
    rows, _ = shocks_of(loaded, library=["history:lehman-2008-to-november:1d-down", "history:snb-2015"])
    assert math.isnan(move("history:lehman-2008-to-november:1d-down", "NDX_COMP"))
    assert rows["history:lehman-2008-to-november:1d-down"]["spot:QQQ"] == ("proxy", pytest.approx(-0.0903498))
    assert rows["history:snb-2015"]["spot:ETH"] == ("unmoved", 0.0)


@pytest.mark.parametrize("base", ["USD", "EUR"])
def test_crosses_of_currencies(tmp_path, base):
    """Of 24 June 2016: a dollar 3.19 % less in yen, a pound 7.84 % less and a euro 2.84 % less in dollars."""
    held = {
        f"{c}X": (c, "lognormal")
        for c in ("EUR", "JPY", "GBP", "CHF") + (("USDC", "SEK") if base == "USD" else ("USD",))
    }
    factors = [
        f for n, (c, _) in held.items() for f in (f"spot:{n}", f"iv:{n}:30d", *([f"fx:{c}"] if c != base else []))
    ]
    loaded = book(tmp_path / "b", held, factors, base)
    rows, found = shocks_of(loaded, library=["history:brexit-2016:1d-down"])
    crash = rows["history:brexit-2016:1d-down"]
    eur, jpy, gbp, chf = (move("history:brexit-2016:1d-down", f) for f in ("EURUSD", "USDJPY", "GBPUSD", "EURCHF"))
    dollars = {"USD": 1.0, "EUR": 1 + eur, "JPY": 1 / (1 + jpy), "GBP": 1 + gbp, "CHF": (1 + eur) / (1 + chf)}
    for name, (origin, shock) in crash.items():
        currency = name.removeprefix("fx:")
        if name.startswith("fx:") and currency in dollars:
            assert (origin, shock) == ("proxy", pytest.approx(dollars[currency] / dollars[base] - 1, rel=1e-12))
        else:
            assert origin == "unmoved"
    by = dict(zip(loaded[2].names, found.by, strict=True))
    if base == "USD":
        assert by["fx:CHF"] == ("EURUSD - EURCHF",)
        assert by["fx:JPY"] == ("-USDJPY",)
    else:
        assert by["fx:CHF"] == ("-EURCHF",)


def test_rates_by_their_tenor(tmp_path):
    """In the first quarter of 2025 bills fall by 2.6, five years by 3.5, ten by 2.9 points: at 2 years, 1.75/4.75 of
    the way from 0.25 to 5, by 2.6 + 0.9·1.75/4.75. In history all tenors follow ten years.
    """
    factors = ["spot:SPY", "iv:SPY:30d", *(f"rate:USD:{t}" for t in ("1m", "2y", "7y", "30y"))]
    rows, found = shocks_of(
        book(tmp_path / "b", {"SPY": ("USD", "lognormal")}, factors), library=["frb:2025:path/1", "history:svb-2023"]
    )
    path = rows["frb:2025:path/1"]
    expected = {"1m": -2.6, "2y": -2.6 - 0.9 * 1.75 / 4.75, "7y": -3.5 + 0.6 * 2 / 5, "30y": -2.9}
    for tenor, points in expected.items():
        assert path[f"rate:USD:{tenor}"] == ("proxy", pytest.approx(points / 100))
        assert rows["history:svb-2023"][f"rate:USD:{tenor}"] == ("proxy", pytest.approx(-0.0047))
    assert found.set.name == ["history:svb-2023", "frb:2025:path/1"]


def test_oil_below_zero(tmp_path):
    """A lognormal price of 80 takes −99 %; a normal one takes −55.29 dollars, and of −51.3 % its share of 80."""
    held = {"WTI": ("USD", "normal"), "CL": ("USD", "lognormal"), "BZ": ("USD", "normal")}
    factors = [f for n in held for f in (f"spot:{n}", f"iv:{n}:30d")]
    loaded = book(tmp_path / "b", held, factors)
    rows, found = shocks_of(
        loaded, library=["history:negative-wti-2020*"], proxies={"spot:BZ": {"factor": "BRENT", "beta": 2}}
    )
    day = rows["history:negative-wti-2020:1d-down"]
    assert day["spot:WTI"] == ("proxy", pytest.approx(-55.29))
    assert day["spot:CL"] == ("proxy", pytest.approx(-0.99))
    brent = move("history:negative-wti-2020:1d-down", "BRENT")
    assert day["spot:BZ"] == ("proxy", pytest.approx(80 * ((1 + brent) ** 2 - 1)))
    after = rows["history:negative-wti-2020:1d-up"]
    assert after["spot:WTI"] == ("proxy", pytest.approx(45.89))
    assert after["spot:CL"] == ("unmoved", 0.0)
    whole = rows["history:negative-wti-2020"]
    assert whole["spot:WTI"] == ("proxy", pytest.approx(80 * -0.513381))
    assert whole["spot:CL"] == ("proxy", pytest.approx(-0.513381))
    assert (
        "falls of 99 % and more, which a lognormal factor cannot take, are taken for 99 %: 2 of them"
        in found.set.notes[0]
    )


def test_the_grid_moves_all_spots_and_volatilities(tmp_path):
    held = {"A": ("EUR", "lognormal"), "B": ("USD", "normal")}
    factors = ["spot:A", "spot:B", "iv:A:30d", "iv:B:1y", "forward:A:90d", "fx:EUR", "rate:USD:1y"]
    rows, found = shocks_of(book(tmp_path / "b", held, factors), library=["grid:spot-40:*", "grid:spot+0:vol-30"])
    assert len(rows) == 6
    crash = rows["grid:spot-40:vol+60"]
    assert {name: shock for name, (origin, shock) in crash.items() if origin == "named"} == {
        "spot:A": pytest.approx(-0.4),
        "spot:B": pytest.approx(-32.0),
        "iv:A:30d": pytest.approx(0.6),
        "iv:B:1y": pytest.approx(0.6),
        "forward:A:90d": pytest.approx(-0.4),
    }
    assert [name for name, (origin, _) in crash.items() if origin == "unmoved"] == ["fx:EUR", "rate:USD:1y"]
    assert found.family == ("grid",) * 6


def test_by_default_all_that_moves_the_book(tmp_path):
    loaded = book(tmp_path / "b", {"BTC": ("USD", "lognormal")}, ["spot:BTC", "iv:BTC:30d"])
    rows, found = shocks_of(loaded)
    assert len(rows) == len(found.set.name) > 90
    assert "history:ftx-2022" in rows
    assert "history:lehman-2008" not in rows
    assert found.set.notes[0].startswith(
        "scenarios.toml: left out of the library, for they move no factor of the book: history:black-monday-1987, "
    )
    with pytest.raises(InputError, match="no scenario that is chosen moves a factor of the book"):
        shocks_of(loaded, library=["history:lehman-2008*"])


def test_moves_that_are_the_same_are_taken_once(tmp_path):
    """Stocks are lowest in the path's fourth quarter; in its second volatility is highest, and yields are lowest."""
    loaded = book(tmp_path / "b", {"SPY": ("USD", "lognormal")}, ["spot:SPY", "iv:SPY:30d"])
    rows, found = shocks_of(loaded, library=["frb:2025:*low", "frb:2025:volatility-high"])
    assert list(rows) == ["frb:2025:equity-low", "frb:2025:volatility-high", "frb:2025:euro-low"]
    assert found.set.notes == (
        "scenarios.toml: left out of the library, for others move the book alike: frb:2025:yield-low "
        "(frb:2025:volatility-high)",
    )
    rows, found = shocks_of(loaded, library=["frb:2025:*"])
    assert list(rows) == [f"frb:2025:path/{step}" for step in range(1, 14)]
    assert "frb:2025:equity-low (frb:2025:path/4), frb:2025:volatility-high (frb:2025:path/2)" in found.set.notes[0]


def test_a_sequence_is_chosen_by_its_name_and_stays_whole(tmp_path):
    loaded = book(tmp_path / "b", {"SPY": ("USD", "lognormal")}, ["spot:SPY", "iv:SPY:30d"])
    rows, found = shocks_of(loaded, library=["frb:2025:path"], proxies={"iv:*": "none"}, mirrors=True)
    assert len(rows) == 26
    assert rows["frb:2025:path/13"]["spot:SPY"] == ("proxy", 0.0)
    assert found.set.name[13] == "frb:2025:path (mirror)/1"
    assert rows["frb:2025:path (mirror)/4"]["spot:SPY"][1] == pytest.approx(1 / 0.499999 - 1, rel=1e-5)


def test_betas_and_fill_reach_the_library(tmp_path):
    loaded = book(
        tmp_path / "b",
        dict.fromkeys(("SPY", "GOOG"), ("USD", "lognormal")),
        ["spot:SPY", "iv:SPY:1d", "spot:GOOG", "iv:GOOG:1d"],
    )
    rows, _ = shocks_of(loaded, library=["history:covid-2020"], betas={"spot:GOOG": {"spot:SPY": 1.5}}, fill="beta")
    assert rows["history:covid-2020"]["spot:GOOG"] == ("beta", pytest.approx((1 - 0.33925) ** 1.5 - 1))


def test_moves_by_hand(tmp_path):
    """Two library factors with weights 1 and −2: growth 1.1/0.8²."""
    shipped = library().take([0, 1])
    columns = [shipped.column("SPX"), shipped.column("NDX_COMP")]
    own = shipped.move.copy()
    own[0, columns], own[1, columns] = [0.1, -0.2], [0.1, np.nan]
    made = type(shipped)(**{**vars(shipped), "move": own})
    sums = [(Move({"SPX": 1.0, "NDX_COMP": -2.0}), Move({"SPX": 1.0})), ()]
    out, named, taken, floored = library_moves(made, sums, np.zeros(2, bool), np.zeros(2))
    np.testing.assert_allclose(out, [[math.log(1.1 / 0.64), np.nan], [math.log(1.1), np.nan]])
    assert not named.any()
    assert taken.tolist() == [[0, -1], [1, -1]]
    assert floored == 0


def test_movers_in_words(tmp_path):
    loaded = book(tmp_path / "b", {"SPY": ("USD", "lognormal")}, ["spot:SPY", "iv:SPY:30d", "rate:USD:1y"])
    found = movers(loaded[0], "USD", loaded[2], {2: Proxy(factor="SPX", beta=-0.5)})
    words = [[move.words for move in moves] for moves in found]
    assert words == [["iv:*", "VIX"], ["0.842105 UST3M + 0.157895 UST5Y", "UST10Y"], ["spot:*", "-0.5 SPX"]]
