"""[scan]: every parameter at its lowest and highest value and beyond, and what does not go together."""

import pytest
from margin.scan_books import TABLES, write

import gpu_var as gv
from gpu_var.cli import main
from gpu_var.market.scan_checks import check_scan
from gpu_var.tables.config_scan import Scan, ScanUnderlying
from gpu_var.tables.findings import Findings, InputError

LEGS = "legs = [[1, 1], [2, -1]]"


def parse(folder, text):
    path = folder / "margin.toml"
    path.write_text(f'as_of = 2026-01-05\nbase_currency = "USD"\n{text}')
    return gv.Config.load(path).scan


def table(**keys):
    """[scan] with these keys, and the two that are required."""
    sub = {k: v for k, v in keys.items() if "." in k or k.startswith("[")}
    plain = {"price_range": "0.1", "vol_range": "0.3"} | {k: v for k, v in keys.items() if k not in sub}
    return "[scan]\n" + "".join(f"{k} = {v}\n" for k, v in plain.items() if v is not None)


def errors(folder, text):
    with pytest.raises(InputError) as error:
        parse(folder, text)
    return error.value.findings.errors


BOUNDS = [  # key, lowest, highest, below, above, what goes with it
    ("price_range", 1e-12, 10, 0, 10.1, {}),
    ("price_range", 1e-12, 1e12, 0, 1.1e12, {"price_range_in": "'absolute'"}),
    ("vol_range", 0, 1e6, -0.1, 1.1e6, {}),
    ("vol_range_down", 0, 1e6, -0.1, 1.1e6, {}),
    ("vol_floor_days", 1e-9, 36500, 0, 36501, {"vol_law": "'power'"}),
    ("vol_pivot_days", 1e-9, 36500, 0, 36501, {"vol_law": "'power'"}),
    ("vol_power_short", 0, 2, -0.1, 2.1, {"vol_law": "'power'"}),
    ("vol_power_long", 0, 2, -0.1, 2.1, {"vol_law": "'power'"}),
    ("look_ahead_days", 0, 365, -1, 366, {}),
    ("short_option_minimum", 0, 1e15, -1, 1.1e15, {}),
]
ENTRIES = [  # list of tables, key, lowest, highest, below, above, the entry's other keys
    ("inter_month", "priority", 1, 1_000_000, 0, 1_000_001, f"charge = 1\n{LEGS}\n"),
    ("inter_month", "charge", 0, 1e15, -1, 1.1e15, f"{LEGS}\n"),
    ("inter_month", "charge", 0, 1, -1, 1.1, f"{LEGS}\ncharge_in = 'wfpr'\n"),
    ("inter_month", "charge", 0, 1, -1, 1.1, f"{LEGS}\ncharge_in = 'range'\n"),
    ("inter_month", "charge", 0, 1, -1, 1.1, f"{LEGS}\ncharge_in = 'price'\n"),
    ("delivery", "days", 1e-9, 1e6, 0, 1.1e6, ""),
    ("delivery", "spread", 0, 1e15, -1, 1.1e15, "days = 1\n"),
    ("delivery", "outright", 0, 1e15, -1, 1.1e15, "days = 1\n"),
    ("delivery", "outright", 0, 1, -1, 1.1, "days = 1\ncharge_in = 'range'\n"),
    ("inter_commodity", "priority", 1, 1_000_000, 0, 1_000_001, 'credit = 1\nlegs = [["A", 1], ["B", -1]]\n'),
    ("inter_commodity", "credit", 0, 1, -0.1, 1.1, 'legs = [["A", 1], ["B", -1]]\n'),
]
LISTS = [  # key, what is accepted, what is not
    ("grid", "[[-100, -100, 1e-9], [100, 100, 1]]", "[[-101, 0, 1]]"),
    ("grid", "[[0, 0, 1]]", "[[0, 101, 1]]"),
    ("grid", "[[0, 0, 1]]", "[[0, 0, 0]]"),
    ("grid", "[[0, 0, 1]]", "[[0, 0, 1.1]]"),
    ("grid", "[[0, 0, 1]]", "[]"),
    ("grid", "[[0, 0, 1]]", "[[0, 0]]"),
    ("grid", "[[0, 0, 1]]", '[[0, "up", 1]]'),
    ("grid", str([[1, 0, 1]] * 1000), str([[1, 0, 1]] * 1001)),
    ("extended", "[]", "[[101, 0, 1]]"),
    ("extended", str([[1, 0, 1]] * 1000), str([[1, 0, 1]] * 1001)),
    ("extended", "[[-100, 0, 1], [100, 0, 1]]", "[[-101, 0, 1]]"),
    ("delta_points", "[[0, 1]]", "[[0, 0]]"),
    ("delta_points", "[[-100, 0.5], [100, 0.5]]", "[[-101, 1]]"),
    ("delta_points", "[[0, 0.5], [1, 0.5]]", "[[0, 0.5]]"),
    ("tier_days", "[1e-9, 1e6]", "[0]"),
    ("tier_days", "[30, 90]", "[1.1e6]"),
    ("tier_days", "[30, 90]", "[90, 30]"),
    ("tier_days", "[30]", "[30, 30]"),
    ("tier_days", str([float(i) for i in range(1, 100)]), str([float(i) for i in range(1, 101)])),
]
WORDS = [
    ("price_range_in", ("relative", "absolute")),
    ("vol_range_in", ("relative", "absolute")),
    ("vol_law", ("flat", "power")),
    ("numeraire", ("quote", "underlying")),
    ("across", ("sum", "joint")),
    ("short_option_minimum_in", ("contract", "price")),
    ("short_option_minimum_basis", ("sum", "max")),
]


@pytest.mark.parametrize(("key", "low", "high", "below", "above", "more"), BOUNDS)
def test_numbers(tmp_path, key, low, high, below, above, more):
    for value in (low, high):
        assert getattr(parse(tmp_path, table(**{**more, key: value})), key) == value
    for value in (below, above):
        (said,) = errors(tmp_path, table(**{**more, key: value}))
        assert said.startswith(f"margin.toml, key scan.{key}: ")
        assert "out of range; expected" in said


@pytest.mark.parametrize(("name", "key", "low", "high", "below", "above", "more"), ENTRIES)
def test_numbers_of_entries(tmp_path, name, key, low, high, below, above, more):
    def text(value):
        return table(tier_days="[30]") + f"[[scan.{name}]]\n{key} = {value}\n{more}"

    for value in (low, high):
        assert getattr(getattr(parse(tmp_path, text(value)), name)[0], key) == value
    for value in (below, above):
        (said,) = errors(tmp_path, text(value))
        assert said.startswith(f"margin.toml, key scan.{name}.{key}: ")
        assert "out of range; expected" in said


@pytest.mark.parametrize(("key", "good", "bad"), LISTS)
def test_lists(tmp_path, key, good, bad):
    assert parse(tmp_path, table(**{key: good})) is not None
    said = errors(tmp_path, table(**{key: bad}))
    assert len(said) == 1
    assert said[0].startswith(f"margin.toml, key scan.{key}")
    assert "expected" in said[0]


def test_extended_moves_may_be_money(tmp_path):
    money = {"price_range_in": "'absolute'", "price_range": "5000"}
    assert parse(tmp_path, table(extended="[[-1e12, 0, 1], [1e12, 0, 1]]", **money)).extended[0][0] == -1e12
    (said,) = errors(tmp_path, table(extended="[[1.1e12, 0, 1]]", **money))
    assert said.startswith("margin.toml, key scan.extended: 1100000000000.0 is out of range")


@pytest.mark.parametrize(("key", "words"), WORDS)
def test_words(tmp_path, key, words):
    for word in words:
        assert getattr(parse(tmp_path, table(**{key: f"'{word}'"})), key) == word
    (said,) = errors(tmp_path, table(**{key: "'other'"}))
    assert said == f"margin.toml, key scan.{key}: 'other' is not accepted; expected '{words[0]}' or '{words[1]}'"


LEGS_BAD = [
    ("inter_month", "charge = 1", "legs = [[1, 1]]", "2 to 20"),
    ("inter_month", "charge = 1", "legs = [[1, 1], [2, 1]]", "two opposite sides"),
    ("inter_month", "charge = 1", "legs = [[1, 1], [2, 0], [2, -1]]", "none of them 0"),
    ("inter_month", "charge = 1", "legs = [[-1, 1], [2, -1]]", "tier from 0 to 100"),
    ("inter_month", "charge = 1", "legs = [[101, 1], [2, -1]]", "tier from 0 to 100"),
    ("inter_month", "charge = 1", "legs = [[1, 1.1e9], [2, -1]]", "1e9"),
    ("inter_month", "charge = 1", "legs = [[1, 1], [3, -1]]", "name tier 3, and tier_days make 2; expected tiers"),
    ("inter_month", "charge = 1", f"legs = {[[1, 1], [2, -1]] * 10 + [[1, 1]]}", "2 to 20"),
    ("inter_commodity", "credit = 1", 'legs = [["A", 1], ["A", -1]]', "name an underlying twice"),
    ("inter_commodity", "credit = 1", 'legs = [["A", 1], ["B", 0]]', "a ratio of 0"),
    ("inter_commodity", "credit = 1", 'legs = [["A", 1]]', "2 to 20"),
    ("inter_commodity", "credit = 1", 'legs = [["A", 1], ["B", -1.1e9]]', "1e9"),
]


@pytest.mark.parametrize(("name", "more", "legs", "wording"), LEGS_BAD)
def test_legs_that_are_no_spread(tmp_path, name, more, legs, wording):
    said = errors(tmp_path, table(tier_days="[30]") + f"[[scan.{name}]]\n{more}\n{legs}\n")
    assert len(said) == 1
    assert said[0].startswith(f"margin.toml, key scan.{name}.legs")
    assert wording in said[0]


def test_legs_at_their_bounds(tmp_path):
    twenty = [[1, 1e9], [2, -1e9]] * 10
    scan = parse(tmp_path, table(tier_days="[30]") + f"[[scan.inter_month]]\ncharge = 1\nlegs = {twenty}\n")
    assert len(scan.inter_month[0].legs) == 20
    many = [[f"U{i}", 1e9 * (-1) ** i] for i in range(20)]
    scan = parse(tmp_path, table() + f"[[scan.inter_commodity]]\ncredit = 1\nlegs = {many}\n")
    assert len(scan.inter_commodity[0].legs) == 20


def test_what_does_not_go_together(tmp_path):
    spread = '[[scan.inter_commodity]]\ncredit = 1\nlegs = [["A", 1], ["B", -1]]\n'
    (said,) = errors(tmp_path, table(across="'joint'") + spread)
    assert said.startswith("margin.toml, key scan.inter_commodity: gives credit for what across 'joint' nets already")
    (said,) = errors(tmp_path, table(vol_power_long="0.2"))
    assert said == "margin.toml, key scan.vol_power_long: goes with vol_law 'power' only; expected none with 'flat'"
    (said,) = errors(tmp_path, table() + '[scan.underlyings."A B"]\nprice_range = 11\n')
    assert said.startswith("margin.toml, key scan.underlyings.A B.price_range: 11 is out of range; expected at most 10")
    own = "[scan.underlyings.X]\ntier_days = []\n[[scan.inter_month]]\ncharge = 1\nlegs = [[1, 1], [2, -1]]\n"
    (said,) = errors(tmp_path, table(tier_days="[30]") + own)
    assert "name tier 2, and tier_days of 'X' make 1" in said


def test_what_it_writes_it_reads(tmp_path):
    text = table(tier_days="[30]") + f"[[scan.inter_month]]\ncharge = 1\n{LEGS}\n[scan.underlyings.X]\nvol_range = 1\n"
    scan = parse(tmp_path, text)
    assert Scan.model_validate(scan.model_dump(mode="json", exclude_none=True)) == scan


def test_unknown_keys_name_the_nearest(tmp_path):
    (said,) = errors(tmp_path, table(price_rnge="1"))
    assert "unknown key; the nearest known one is 'price_range'" in said
    (said,) = errors(tmp_path, table() + "[scan.underlyings.BTC]\nvol_rang = 1\n")
    assert said.startswith("margin.toml, key scan.underlyings.BTC.vol_rang: unknown key")
    assert "'vol_range'" in said
    (said,) = errors(tmp_path, table() + "[[scan.delivery]]\ndays = 1\noutrigt = 1\n")
    assert said.startswith("margin.toml, key scan.delivery.outrigt: unknown key; the nearest known one is 'outright'")


def test_ranges_are_required(tmp_path):
    assert errors(tmp_path, "[scan]\n") == [
        "margin.toml, key scan.price_range: missing; expected a number with 0 < price_range <= 1e12",
        "margin.toml, key scan.vol_range: missing; expected a number from 0 to 1e6",
    ]


def test_bounds_of_an_underlyings_own(tmp_path):
    for key, good, bad in (
        ("price_range", ("1e-12", "10"), ("0", "1.1e12")),
        ("vol_range", ("0", "1e6"), ("-1", "1.1e6")),
        ("vol_range_down", ("0", "1e6"), ("-1", "1.1e6")),
        ("short_option_minimum", ("0", "1e15"), ("-1", "1.1e15")),
        ("tier_days", ("[]", "[1e-9, 1e6]"), ("[0]", "[2, 1]")),
    ):
        for value in good:
            assert parse(tmp_path, table() + f"[scan.underlyings.X]\n{key} = {value}\n") is not None
        for value in bad:
            (said,) = errors(tmp_path, table() + f"[scan.underlyings.X]\n{key} = {value}\n")
            assert said.startswith(f"margin.toml, key scan.underlyings.X.{key}")
            assert "expected" in said


def test_an_underlyings_own_parameters():
    scan = Scan(
        price_range=0.1,
        vol_range=0.3,
        vol_range_down=0.2,
        short_option_minimum=5.0,
        tier_days=(30.0,),
        underlyings={
            "A": ScanUnderlying(price_range=0.2),
            "B": ScanUnderlying(vol_range=0.5),
            "C": ScanUnderlying(vol_range_down=0.1, short_option_minimum=0.0, tier_days=()),
        },
    )
    assert [scan.parameter("price_range", u) for u in "ABX"] == [0.2, 0.1, 0.1]
    assert [scan.parameter("vol_range", u) for u in "ABX"] == [0.3, 0.5, 0.3]
    assert [scan.parameter("vol_range_down", u) for u in "ABCX"] == [0.2, 0.5, 0.1, 0.2]
    assert [scan.parameter("short_option_minimum", u) for u in "ACX"] == [5.0, 0.0, 5.0]
    assert [scan.tiers(u) for u in "ACX"] == [(30.0,), (), (30.0,)]
    assert Scan(price_range=0.1, vol_range=0.3).parameter("vol_range_down", "A") == 0.3


def checked(folder, config, **accounts):
    """What the check of [scan] against a book says."""
    ranges = {"price_range": 0.1, "vol_range": 0.3}
    book = gv.read_book(write(folder, table(), **accounts))
    findings = Findings()
    check_scan(book, Scan.model_validate(ranges | config), findings)
    return findings


def test_names_that_the_book_does_not_have(tmp_path):
    found = checked(tmp_path, {"underlyings": {"BTX": {}, "PLATINUM": {}, "BTC": {}}}, a={"PERP": 1.0})
    assert found.errors == [
        "margin.toml, key scan.underlyings.BTX: 'BTX' is not in underlyings; the nearest one there is 'BTC'"
    ]
    assert found.notes == ["margin.toml: [scan] names underlyings that the book does not have: PLATINUM"]
    charge = {"underlying": "BTD", "charge": 1.0, "legs": [[0, 1], [1, -1]]}
    credit = {"credit": 1.0, "legs": [["BTC", 1], ["BTE", -1]]}
    near = {"underlying": "BTF", "days": 1.0}
    every = {"inter_month": [charge], "inter_commodity": [credit], "delivery": [near]}
    keys = [error.split(":")[0].split(".", 2)[2] for error in checked(tmp_path, every, a={"PERP": 1.0}).errors]
    assert keys == ["inter_month.underlying", "delivery.underlying", "inter_commodity.legs"]


def test_a_relative_range_of_nothing(tmp_path, monkeypatch):
    lines = [line.replace("CL,USD,-2.0", "CL,USD,0") for line in TABLES["underlyings"]]
    monkeypatch.setitem(TABLES, "underlyings", lines)
    (said,) = checked(tmp_path, {}, a={"BARREL": 1.0}).errors
    rest = "'relative' makes the range of 'CL' 0, as its spot is; expected 'absolute'"
    assert said == f"margin.toml, key scan.price_range_in: {rest}"
    assert checked(tmp_path, {"price_range_in": "absolute"}, a={"BARREL": 1.0}).errors == []


def test_a_bad_table_is_exit_2_and_writes_nothing(tmp_path, capsys):
    folder = write(tmp_path / "book", table(price_range="0") + "[[scan.delivery]]\ndays = 0\n", a={"PERP": 1.0})
    assert main(["run", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "error: margin.toml, key scan.price_range: 0 is out of range; expected a number with 0 < price_range <= 1e12",
        "error: margin.toml, key scan.delivery.days: 0 is out of range; expected a number with 0 < days <= 1e6",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["book"]
