"""Which columns of history a run uses, and what is noted of the rest."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tables.base import BOOK, write

from gpu_var.market.checks import check, load
from gpu_var.market.factors import tenor_years
from gpu_var.market.lookback import window
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs, MonteCarlo
from gpu_var.tables.findings import Findings, InputError
from gpu_var.tables.load import read_book

UNDERLYINGS = "underlying,currency,spot,dynamics,carry,adv,vega_adv,half_spread,vol_half_spread\n"


def history(**columns):
    """A history of 22 days; a number stands for a constant column, `None` for one that moves."""
    names = [name.replace("__", ":") for name in columns]
    rows = [[10 + d % 7 if level is None else level for level in columns.values()] for d in range(22)]
    lines = [f"2025-12-{d + 10},{','.join(map(str, row))}\n" for d, row in enumerate(rows)]
    return f"date,{','.join(names)}\n{''.join(lines)}"


BASE = {"spot__BTC": None, "spot__EUX": None, "iv__BTC__30d": None, "fx__EUR": None}


@pytest.mark.parametrize(
    ("text", "years"),
    [("30d", 30 / 365), ("1w", 7 / 365), ("12m", 1.0), ("1y", 1.0), ("0.5y", 0.5), (".5m", 0.5 / 12)]
    + [(text, None) for text in ["", "d", "0d", "-1d", "1", "1D", "1e2d", "1dd", " 1d", "nand", "９d"]],
)
def test_tenors(text, years):
    assert tenor_years(text) == pytest.approx(years) if years else tenor_years(text) is None


def test_the_base_book(tmp_path):
    book, config, factors, findings = load(write(tmp_path / "book"))
    assert factors.names == ("fx:EUR", "iv:BTC:30d", "spot:BTC", "spot:EUX")
    assert [book.history.name[c] for c in factors.column] == list(factors.names)
    assert factors.kind == ("fx", "iv", "spot", "spot")
    assert factors.spot.tolist() == [2, 3]
    assert factors.fx.tolist() == [0, -1]
    assert factors.iv[0].factor.tolist() == [1]
    assert factors.iv[0].years.tolist() == [30 / 365]
    assert not factors.additive.any()
    assert findings.notes == []
    dates, levels = window(book.history, factors, config.fhs, config.as_of_us)
    assert dates.shape == (20,)
    assert levels.shape == (21, 4)
    assert levels[-1].tolist() == book.history.level[-1, factors.column].tolist()


def test_the_look_back_ends_at_as_of(tmp_path):
    book, _, factors, _ = load(write(tmp_path / "book"))
    as_of = int(book.history.date[10])
    dates, levels = window(book.history, factors, Fhs(lookback=3), as_of)
    assert dates.tolist() == book.history.date[8:11].tolist()
    assert levels.tolist() == book.history.level[7:11, factors.column].tolist()


def test_names_are_split_at_the_first_and_last_colon(tmp_path):
    columns = {"spot__A__B": None, "iv__A__B__30d": None, "iv__A__B__1w": None, "forward__A__B__90d": None}
    book = write(
        tmp_path / "book",
        underlyings__csv=UNDERLYINGS + "A:B,USD,5,,,,,,\n",
        instruments__csv="instrument,kind,underlying,expiry,strike,right,iv\nO,option,A:B,2026-06-26,5,put,0.5\n",
        positions__csv="account,instrument,quantity\nA1,O,1\n",
        vols__csv=None,
        fx__csv=None,
        history__csv=history(**columns),
    )
    factors = load(book)[2]
    assert factors.names == ("forward:A:B:90d", "iv:A:B:1w", "iv:A:B:30d", "spot:A:B")
    assert factors.iv[0].factor.tolist() == [1, 2]
    assert factors.forward[0].years.tolist() == [90 / 365]


def test_what_concerns_nothing_held_is_ignored_with_a_note(tmp_path):
    columns = BASE | {"iv__EUX__30d": None, "rate__EUR__1y": None, "rate__USD__1y": None, "spot__XYZ": 0, "fx__USD": 1}
    _, _, factors, findings = load(write(tmp_path / "book", history__csv=history(**columns)))
    # EUX is held as a spot alone: neither a volatility nor euro rates concern it.
    assert factors.names == ("fx:EUR", "iv:BTC:30d", "rate:USD:1y", "spot:BTC", "spot:EUX")
    assert factors.additive.tolist() == [False, False, True, False, False]
    said = "ignored, for they concern nothing that is held: fx:USD, iv:EUX:30d, rate:EUR:1y, spot:XYZ"
    assert findings.notes == [f"history.csv: {said}"]


def test_a_position_of_zero_is_not_held(tmp_path):
    positions = BOOK["positions.csv"].replace("A2,EUX-S,3\n", "A2,EUX-S,3\nA2,EUX-S,-3\n")
    columns = {name: level for name, level in BASE.items() if name in ("spot__BTC", "iv__BTC__30d")}
    book = write(tmp_path / "book", positions__csv=positions, history__csv=history(**columns))
    assert load(book)[2].names == ("iv:BTC:30d", "spot:BTC")


def test_allow_unshocked_waives_a_factor_with_a_note(tmp_path):
    columns = {name: level for name, level in BASE.items() if name != "iv__BTC__30d"}
    config = ('"USD"', '"USD"\nallow_unshocked = ["iv:BTC"]')
    _, _, factors, findings = load(write(tmp_path / "book", history__csv=history(**columns), margin__toml=config))
    assert "not shocked, as allow_unshocked accepts: iv:BTC (missing from history.csv)" in findings.notes
    assert not len(factors.iv[0].factor)


def test_pegs_and_still_rates_are_notes(tmp_path):
    columns = BASE | {"fx__EUR": 1.1, "rate__USD__1y": 0}
    _, _, factors, findings = load(write(tmp_path / "book", history__csv=history(**columns)))
    assert "fx:EUR" in factors.names
    assert findings.notes == ["history.csv: constant over the look-back, and not shocked: fx:EUR, rate:USD:1y"]


def test_a_normal_underlying_may_be_negative(tmp_path):
    book = write(
        tmp_path / "book",
        underlyings__csv=UNDERLYINGS + "BTC,USD,-3,normal,,1,1,1,1\nEUX,EUR,100,,,1,1,1,1\n",
        instruments__csv=("100000", "-100"),
        vols__csv="underlying,expiry,strike,iv\nBTC,2026-06-26,-5,55\n",
        history__csv=BOOK["history.csv"].replace(",95000,", ",-37,"),
    )
    _, _, factors, findings = load(book)
    assert factors.additive[factors.names.index("spot:BTC")]
    assert findings.notes == []


def test_notes_on_what_has_expired_and_what_is_missing(tmp_path):
    book = write(
        tmp_path / "book",
        instruments__csv=("2026-03-27", "2025-12-01"),
        underlyings__csv=("1000,1e6,0.0005,0.005", ",,,"),
        vols__csv=BOOK["vols.csv"] + "BTC,2025-12-31,90000,0.5\n",
        margin__toml=("2026-01-01", "2026-01-15"),
    )
    notes = load(book)[3].notes
    assert "expired instruments, worth their intrinsic value at spot: BTC-F" in notes
    assert "vols.csv: 1 node not after as_of dropped: BTC" in notes
    assert "history.csv: the last date, 2025-12-31, is over 15 days before as_of" not in notes
    for column in ("adv", "vega_adv", "half_spread", "vol_half_spread"):
        assert (
            sum(note.startswith(f"underlyings.csv, column {column}: none for BTC; its add-on") for note in notes) == 1
        )
    (book / "margin.toml").write_text(BOOK["margin.toml"].replace("2026-01-01", "2026-01-16"))
    assert "history.csv: the last date, 2025-12-31, is over 15 days before as_of" in load(book)[3].notes


def test_the_longer_look_back_is_checked(tmp_path):
    text = BOOK["history.csv"].replace("2025-12-11,95003", "2025-12-11,")
    config = BOOK["margin.toml"].replace("lookback = 20", "lookback = 5")
    book = write(tmp_path / "book", history__csv=text, margin__toml=config)
    load(book)
    (book / "margin.toml").write_text(config.replace("paths = 100", "lookback = 20"))
    with pytest.raises(InputError, match=r"history\.csv line 3, column spot:BTC: null inside the look-back"):
        load(book)


def test_a_read_book_is_checked_against_any_configuration(tmp_path):
    book = read_book(write(tmp_path / "book"))
    findings = Findings()
    check(book, Config(as_of="2026-01-01", base_currency="EUR", monte_carlo=MonteCarlo(lookback=20)), findings)
    assert findings.errors == [
        "underlyings.csv line 2, column currency: 'USD' is not known; expected the base (EUR) or a row of fx",
        "fx.csv line 2, column rate: 1.1 is not 1; expected 1 for the base currency EUR, or no row for it",
        "history.csv, column fx:USD: missing; expected a column of this name, for the currency quotes what is held "
        "(or 'fx:USD' in allow_unshocked)",
    ]


def test_a_factor_of_a_wrong_type_is_reported_once(tmp_path):
    folder = write(tmp_path / "book", history__csv=None)
    moving = [10.0 + d % 7 for d in range(22)]
    columns = {"spot:BTC": [str(level) for level in moving], "spot:EUX": moving, "iv:BTC:30d": moving, "fx:EUR": moving}
    dates = pa.array(np.arange("2025-12-10", "2026-01-01", dtype="datetime64[D]"))
    pq.write_table(pa.table({"date": dates, **columns}), folder / "history.parquet")
    with pytest.raises(InputError) as error:
        load(folder)
    said = "of type string; expected an integer, float or decimal: a finite level"
    assert error.value.findings.errors == [f"history.parquet, column spot:BTC: {said}"]
