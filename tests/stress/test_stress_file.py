"""scenarios.toml: what it may say, the range of every key, and what is said of the rest."""

from pathlib import Path

import pytest
from tables.base import write

from gpu_var import read_book
from gpu_var.tables.config_stress_test import Shock, StressFile
from gpu_var.tables.findings import Findings
from gpu_var.tables.stress_file import load_stress_file, stress_file_of

CRASH = '[[scenario]]\nname = "crash"\nshocks = { "spot:*" = -0.3 }\n'
STEPS = '[[scenario]]\nname = "path"\n[[scenario.step]]\nshocks = { "spot:*" = -0.1 }\n[[scenario.step]]\nshocks = {}\n'
ETH = '[betas]\n"spot:ETH" = { "spot:BTC" = 1.2 }\n'

FULL = f"""\
library = ["history:*", "frb:2025:path"]
mirrors = true
fill = "correlation"
{ETH}
"iv:*" = {{ "spot:BTC" = -2, "spot:ETH" = -0.5 }}
[proxies]
"spot:GOOG" = "SPX"
"spot:NVDA" = {{ factor = "SPX", beta = 1.8 }}
"iv:NVDA:*" = "none"
{CRASH}
fill = "beta"
spreads = 3
adv = 0.25
mirror = false
{STEPS}
[resources]
own = 25e6
own_after = 1
assessment = 2.5
cover = 3
prudence = 0.2
least_contribution = 1e6
allocation = "worst"
against = "larger"
clients = "omnibus"
house_covers_clients = false
"""


def read(folder: Path, text: str) -> tuple[StressFile | None, list[str]]:
    path = folder / "scenarios.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    findings = Findings()
    return load_stress_file(path, findings), findings.errors


def test_everything_that_may_be_said(tmp_path):
    file, errors = read(tmp_path, FULL)
    assert not errors
    assert file is not None
    assert file.chosen == ("history:*", "frb:2025:path")
    crash, path = file.scenario
    assert crash.steps == ({"spot:*": Shock(-0.3, "")},)
    assert (crash.fill, crash.spreads, crash.adv, crash.mirror) == ("beta", 3.0, 0.25, False)
    assert path.steps == ({"spot:*": Shock(-0.1, "")}, {})
    assert (path.fill, path.spreads, path.adv, path.mirror) == (None, 1.0, 1.0, None)
    assert file.betas == {"spot:ETH": {"spot:BTC": 1.2}, "iv:*": {"spot:BTC": -2.0, "spot:ETH": -0.5}}
    assert [(p.factor, p.beta) for p in file.proxies.values()] == [("SPX", 1.0), ("SPX", 1.8), ("none", 1.0)]
    assert file.resources is not None
    assert file.resources.model_dump() == {
        "own": 25e6,
        "own_after": 1.0,
        "assessment": 2.5,
        "cover": 3,
        "prudence": 0.2,
        "least_contribution": 1e6,
        "allocation": "worst",
        "against": "larger",
        "clients": "omnibus",
        "house_covers_clients": False,
        "defaulters": (),
    }
    assert StressFile.model_validate(file.as_dict()) == file


def test_defaults(tmp_path):
    file, errors = read(tmp_path, "")
    assert not errors
    assert file == StressFile()
    assert (file.chosen, file.mirrors, file.fill, file.resources) == (("*",), False, "none", None)
    assert (file.close_out, file.reverse) == (None, None)
    rules, _ = read(tmp_path, "[resources]\n")
    assert rules is not None
    assert rules.resources is not None
    assert rules.resources.model_dump() == {
        "own": 0.0,
        "own_after": 0.0,
        "assessment": 1.0,
        "cover": 2,
        "prudence": 0.1,
        "least_contribution": 0.0,
        "allocation": "average",
        "against": "margin",
        "clients": "individual",
        "house_covers_clients": True,
        "defaulters": (),
    }


def test_scenarios_of_ones_own_leave_the_library_out():
    own = [{"name": "crash", "shocks": {"spot:*": -0.3}}]
    assert StressFile.model_validate({"scenario": own}).chosen == ()
    assert StressFile.model_validate({"scenario": own, "library": ["*"]}).chosen == ("*",)


@pytest.mark.parametrize(
    ("text", "shock"),
    [
        ("-0.3", Shock(-0.3, "")),
        ("1", Shock(1.0, "")),
        ('"-30%"', Shock(-0.3, "%")),
        ('"+60 %"', Shock(0.6, "%")),
        ('" 1e1% "', Shock(0.1, "%")),
        ('".5%"', Shock(0.005, "%")),
        ('"+50bp"', Shock(0.005, "bp")),
        ('"-1. bp"', Shock(-0.0001, "bp")),
    ],
)
def test_a_shock_in_words(tmp_path, text, shock):
    file, errors = read(tmp_path, CRASH.replace("-0.3", text))
    assert not errors
    assert file is not None
    found = file.scenario[0].steps[0]["spot:*"]
    assert (found.amount, found.unit) == (pytest.approx(shock.amount, rel=1e-15), shock.unit)
    again = StressFile.model_validate(file.as_dict()).scenario[0].steps[0]["spot:*"]
    assert again == (pytest.approx(shock.amount, rel=1e-14), shock.unit)


@pytest.mark.parametrize(
    "text", ['"0.3"', '"30 percent"', '"%"', '"1e999%"', '"５%"', "nan", "inf", "true", "[]", '""']
)
def test_what_is_no_shock(tmp_path, text):
    file, errors = read(tmp_path, CRASH.replace("-0.3", text))
    assert file is None
    assert len(errors) == 1
    assert errors[0].startswith("scenarios.toml, key scenario.shocks.spot:*: ")
    assert 'expected a table of shocks, such as { "spot:*" = -0.3, "iv:*" = "+60%", "rate:*" = "+50bp" }' in errors[0]


RESOURCES = "[resources]\n"


@pytest.mark.parametrize(
    ("text", "key", "inside", "outside"),
    [
        (CRASH, "spreads", ["1", "1e9"], ["0.999", "-1", "inf"]),
        (CRASH, "adv", ["1e-9", "1"], ["0", "1.001", "nan"]),
        (CRASH, "fill", ['"none"', '"correlation"'], ['"both"', '"None"', "1"]),
        (CRASH, "mirror", ["true", "false"], ["1", '"yes"']),
        ("", "mirrors", ["true", "false"], ["1"]),
        ("", "fill", ['"none"', '"correlation"'], ['"corr"']),
        ("", "library", ['["*"]', '["grid:*", "x"]'], ['"*"', "[1]"]),
        (RESOURCES, "own", ["0", "1e15"], ["-0.01", "inf"]),
        (RESOURCES, "own_after", ["0", "1e15"], ["-0.01"]),
        (RESOURCES, "assessment", ["0", "10"], ["-0.01"]),
        (RESOURCES, "cover", ["1", "10"], ["0", "11", "1.5"]),
        (RESOURCES, "prudence", ["0", "3"], ["-0.01"]),
        (RESOURCES, "least_contribution", ["0", "1e12"], ["-1"]),
        (RESOURCES, "allocation", ['"average"', '"worst"'], ['"equal"']),
        (RESOURCES, "against", ['"margin"', '"collateral"', '"larger"'], ['"none"']),
        (RESOURCES, "clients", ['"individual"', '"omnibus"'], ['"net"']),
        (RESOURCES, "house_covers_clients", ["true", "false"], ["0"]),
    ],
)
def test_the_range_of_a_key(tmp_path, text, key, inside, outside):
    table = {CRASH: "scenario.", RESOURCES: "resources.", "": ""}[text]
    for value in inside:
        file, errors = read(tmp_path, f"{text}{key} = {value}\n")
        assert not errors, value
        assert file is not None
    for value in outside:
        file, errors = read(tmp_path, f"{text}{key} = {value}\n")
        assert file is None, value
        assert len(errors) == 1
        assert errors[0].startswith(f"scenarios.toml, key {table}{key}: ")
        assert "expected " in errors[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("librari = []", "key librari: unknown key; the nearest known one is 'library'; known are library, mirrors"),
        ("[[scenarios]]\nname = 'a'", "key scenarios: unknown "),
        (CRASH + "spread = 3", "key scenario.spread: unknown key; the nearest known one is 'spreads'"),
        (STEPS + "foo = 1", "key scenario.step.foo: unknown key; the nearest known one is 'shocks'"),
        ("[resources]\nfund = 1", "key resources.fund: unknown key; the nearest known one is 'own'"),
        (CRASH.replace('name = "crash"', ""), "key scenario.name: missing; expected a name of printable characters"),
        (CRASH.replace('"crash"', '"\\n"'), "key scenario.name: '\\n' is not accepted"),
        (CRASH.replace("crash", "c" * 1001), "is not accepted; expected a name of printable characters"),
        (CRASH.replace("crash", ""), "key scenario.name: '' is not accepted"),
        (CRASH + CRASH, "key scenario.name: 'crash' is given more than once; expected names that differ"),
        ('[[scenario]]\nname = "a"', "key scenario.shocks: missing; expected a table of shocks"),
        (STEPS.replace('"path"', '"path"\nshocks = {}'), "key scenario.shocks: does not go with [[scenario.step]]"),
        (
            CRASH.replace("spot:*", "spt:*"),
            "key scenario.shocks.spt:*: no factor's name; the nearest kind of factor is",
        ),
        (
            STEPS.replace("spot:*", "BTC"),
            "key scenario.step.shocks.BTC: no factor's name; expected a name or a pattern",
        ),
        ('fill = "beta"', "key fill: 'beta' needs the table [betas]"),
        (CRASH + 'fill = "beta"', "key fill: 'beta' needs the table [betas]"),
        (ETH, "key betas: goes with fill = 'beta' or 'correlation'"),
        ('fill = "beta"\n[betas]\n"spot:A" = {}', "key betas.spot:A: no factor; expected one or more"),
        ('fill = "beta"\n[betas]\n"spot:A" = { "spot:A" = 1 }', "key betas.spot:A: has a beta to itself"),
        ('fill = "beta"\n[betas]\n"A" = { "spot:A" = 1 }', "key betas.A: no factor's name"),
        ('fill = "beta"\n[betas]\n"spot:A" = { "spot:B" = inf }', "key betas.spot:A.spot:B: inf is not accepted"),
        ('[proxies]\n"GOOG" = "SPX"', "key proxies.GOOG: no factor's name"),
        ('[proxies]\n"spot:GOOG" = 1', "key proxies.spot:GOOG: 1 is of the wrong type; expected a table such as"),
        (
            '[proxies]\n"spot:GOOG" = { beta = 1 }',
            "key proxies.spot:GOOG.factor: missing; expected a factor of the lib",
        ),
        ('[proxies]\n"spot:GOOG" = { factor = "SPX", beta = 0 }', "key proxies.spot:GOOG.beta: 0 is not accepted"),
        ('[proxies]\n"spot:GOOG" = { factor = "SPX", bet = 0 }', "unknown key; the nearest known one is 'beta'"),
        ("library = []", "key library: no scenario; expected patterns of the library, or tables [[scenario]]"),
        ("library = [", "scenarios.toml line 2, column 1: not TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, said):
    file, errors = read(tmp_path, text + "\n")
    assert file is None
    assert len(errors) == 1, errors
    assert said in errors[0]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    _, errors = read(tmp_path, FULL.replace("own = 25e6", "own = -1").replace("cover = 3", "cover = 0") + "x = 1\n")
    assert len(errors) == 3


def test_the_same_of_values_in_python():
    findings = Findings()
    file = stress_file_of({"scenario": [{"name": "a", "shocks": {"spot:*": "-30%"}}], "mirrors": True}, "x", findings)
    assert file is not None
    assert (file.mirrors, file.scenario[0].steps) == (True, ({"spot:*": Shock(-0.3, "%")},))
    assert stress_file_of({"mirorrs": True}, "these values", findings) is None
    assert findings.errors[0].startswith("these values, key mirorrs: unknown key; the nearest known one is 'mirrors'")


def test_it_may_stand_in_the_books_folder(tmp_path):
    book = write(tmp_path / "book", scenarios__toml=CRASH, notes__toml="")
    assert not [note for note in read_book(book).notes if "scenarios.toml" in note]
    assert "ignored files: notes.toml" in read_book(book).notes


def test_a_file_that_cannot_be_read(tmp_path):
    findings = Findings()
    (tmp_path / "scenario.toml").touch()
    assert load_stress_file(tmp_path / "scenarios.toml", findings) is None
    assert "no such file" in findings.errors[0]
    assert "; there is 'scenario.toml'; expected a file of scenarios" in findings.errors[0]
    file, errors = read(tmp_path, b"library = ['\xff']")  # type: ignore[arg-type]
    assert file is None
    assert "is not UTF-8" in errors[0]
