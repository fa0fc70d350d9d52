"""`stress.html`: whole, still, deaf to what identifiers say, and small enough."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
from report.conftest import NASTY
from report.stress_houses import stressed
from report.test_page import Page

from gpu_var.report import stress_grids, stress_heat, stress_one, stress_page
from gpu_var.report.stress_headlines import fund_size, headlines, verdict
from gpu_var.report.stress_words import move

EVIL = [*NASTY[:5], "<b>bold</b>", "=1+1", "a\u202eb"]


@pytest.fixture(scope="module")
def source():
    return stressed()


@pytest.fixture(scope="module")
def text(source):
    return stress_page.render(source)


@pytest.fixture(scope="module")
def parsed(text):
    return Page(text)


@pytest.fixture(scope="module")
def data(parsed):
    return json.loads(parsed.texts["script"][0])


def test_it_asks_no_other_host_for_anything(parsed, text):
    for tag, attributes in parsed.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img"}
        assert attributes.get("href", "data:,") == "data:," or attributes["href"].startswith("#")
        assert "src" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for t, a in parsed.elements if t == "meta" and "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(parsed.texts["script"][1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert not re.findall(r"https?://|@import|url\(", text)


def test_the_same_test_gives_the_same_bytes():
    assert stress_page.render(stressed(seed=4)) == stress_page.render(stressed(seed=4))
    assert stress_page.render(stressed(seed=4)) != stress_page.render(stressed(seed=5))


def test_every_control_and_every_table_has_a_name(parsed):
    regions = [a for _, a in parsed.elements if a.get("role") == "region"]
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in regions)
    assert len({a["aria-label"] for a in regions}) == len(regions) > 10
    tables = [tag for tag, _ in parsed.elements if tag == "table"]
    assert len(tables) == sum(tag == "caption" for tag, _ in parsed.elements)
    assert [tag for tag, _ in parsed.elements if tag == "h1"] == ["h1"]
    named = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(named) == len(set(named))
    assert {a["aria-labelledby"] for _, a in parsed.elements if "aria-labelledby" in a} <= set(named)
    links = {a["href"][1:] for tag, a in parsed.elements if tag == "a" and a["href"].startswith("#")}
    assert links <= set(named)


def test_names_come_through_unchanged_and_harmless():
    names, scenarios, accounts = EVIL, [f"{one}/{i}" for i, one in enumerate(EVIL)], [f"{one}!" for one in EVIL]
    source = stressed(
        members=len(names), scenarios=len(EVIL), accounts=len(EVIL), names=names,
        scenario_names=scenarios, account_names=accounts, seed=3,
    )  # fmt: skip
    source.facts["notes"].append("a note on <b>bold</b> and </script>")
    source.facts.update(device="<b>x</b>", config={"as_of": "2026", "base_currency": "<i>U</i>"})
    text = stress_page.render(source)
    parsed = Page(text)
    assert len(parsed.texts["script"]) == 2
    assert not [tag for tag, _ in parsed.elements if tag in {"img", "b", "i"}]
    assert "<b>" not in text
    assert "alert(1)</script>" not in text
    data = json.loads(parsed.texts["script"][0])
    assert sorted(data["names"]) == sorted(scenarios)
    assert sorted(data["heat"]["members"]) == sorted(names)
    assert set(data["grids"]["accounts"]["columns"][0]["values"]) <= set(accounts)
    assert set(parsed.texts["th"]) >= set(names)


def test_a_thousand_scenarios_of_fifty_members_stay_under_five_megabytes():
    """With 10,000 accounts, 100 factors and amounts of nine digits."""
    source = stressed(members=50, scenarios=1000, accounts=10_000, factors=100, size=1e8)
    text = stress_page.render(source)
    assert len(text.encode()) < 5_000_000
    data = json.loads(Page(text).texts["script"][0])
    assert len(data["heat"]["members"]) == 50
    assert sum(map(len, data["shocks"]["rows"])) == 3 * stress_one.MOVES_IN_ALL
    assert data["shocks"]["rows"][data["heat"]["order"][0]]


def test_the_worst_scenario_stands_first(source, data):
    uncovered, cover = source.cover("uncovered"), source.cover("cover_n")
    order = source.order
    assert sorted(order) == list(range(40))
    ranked = np.stack([uncovered[order], cover[order]], axis=1).tolist()
    assert ranked == sorted(ranked, reverse=True)
    assert data["heat"]["order"] == order.tolist()


def test_the_map_shows_what_the_table_has(source):
    shown = stress_heat.heat(source, 0)
    m = source.members
    by_name = {name: row for row, name in enumerate(m.name)}
    for line, scenario in zip(shown.cells, shown.scenario, strict=True):
        for name, (look, text) in zip(shown.member, line, strict=False):
            value = m.shortfall[by_name[name], scenario]
            assert text == stress_heat.compact(value)
            assert look == f"h{stress_heat.shade(value, shown.bounds)}"
    worst = m.shortfall[[by_name[name] for name in shown.member]].max(axis=1).tolist()
    assert worst == sorted(m.shortfall.max(axis=1).tolist(), reverse=True)


def test_members_without_a_column_are_summed(monkeypatch):
    source = stressed(members=14)
    shown = stress_heat.heat(source, 0)
    assert (len(shown.member), shown.rest) == (10, 4)
    left_out = ~np.isin(source.members.name, shown.member)
    for line, scenario in zip(shown.cells, shown.scenario, strict=True):
        assert line[-1][1] == stress_heat.compact(source.members.shortfall[left_out, scenario].sum())
    monkeypatch.setattr(stress_heat, "CELLS", 40 * 11)
    shown = stress_heat.heat(source, 0)
    assert (len(shown.data["members"]), shown.data["more"]) == (11, 3)
    assert len(shown.data["house"][0]) == 11


@pytest.mark.parametrize(
    ("shock", "unit", "text"),
    [(-0.3, "%", "-30.0 %"), (0.0001, "%", "0 %"), (0.005, "bp", "+50 bp"), (-1.25, "", "-1.25"), (0.0, "", "0")],
)
def test_moves_in_words(shock, unit, text):
    assert move(shock, unit) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0.0, "0"), (0.123456, "0.123"), (7.0, "7"), (999.4, "999"), (999.6, "1.00k"), (1234.0, "1.23k"),
     (12_345, "12.3k"),
     (123_456, "123k"), (999_949, "1.00m"), (-2_500_000, "-2.50m"), (3.2e9, "3.20bn"), (4.5e13, "45.0tn")],
)  # fmt: skip
def test_compact_amounts(amount, text):
    assert stress_heat.compact(amount) == text


def test_shades_are_rungs_of_a_ladder():
    bounds = stress_heat.ladder(1.98e7)
    assert bounds == [9.9e5, 3e6, 5.9e6, 9.9e6, 1.5e7]
    amounts = (0.0, 1.0, 9.9e5, 2.9e6, 3e6, 9.9e6, 1.4e7, 1.98e7)
    assert [stress_heat.shade(x, bounds) for x in amounts] == [0, 1, 2, 2, 3, 5, 5, 6]
    assert stress_heat.ladder(0.0) == []
    assert [stress_heat.rung(bound) for bound in bounds] == ["990k", "3m", "5.9m", "9.9m", "15m"]


def test_the_bars_of_a_waterfall_hang_together(data, source):
    """A bar begins where those above it have ended, and all that is paid fills four fifths of the width."""
    for at in range(40):
        used = data["fall"]["used"][at]
        assert sum(used) == pytest.approx(source.waterfall.used[at].sum(), abs=7)
        begin, scale = 0.0, max(sum(used) / 0.8, 1e-9)
        for has, pays in zip(data["fall"]["available"][at], used, strict=True):
            drawn = stress_one.bars("c-1", begin, pays, has, scale)
            for look, style in drawn:
                left, width = (float(part.split(":")[1].rstrip("%")) for part in style.split(";"))
                assert left + width <= 100.02
                if look == "c-1":
                    assert left == pytest.approx(100 * begin / scale, abs=0.006)
                    assert width == pytest.approx(100 * pays / scale, abs=0.006)
            assert ("spare" in [look for look, _ in drawn]) == (has is not None and has > pays)
            begin += pays
        assert begin == pytest.approx(0.8 * scale) or begin == 0.0


def test_a_verdict_that_fails():
    source = stressed(resources={"own": 0.0, "own_after": 0.0, "assessment": 0.0})
    at = int(source.cover("uncovered").argmax())
    said = verdict(source, 0)
    assert said.holds is False
    broken = int((source.cover("uncovered") > 0).sum())
    assert said.text.startswith(f"Cover 2 does not hold in {broken} scenarios of 40. Cover 2 is largest in ")
    assert source.scenario[at] in said.text
    assert f"{source.cover('uncovered')[at]:,.0f} USD uncovered" in said.text
    assert "is left uncovered" in stress_one.told(source, 0)[at]


def test_a_verdict_that_holds():
    source = stressed(resources={"own": 1e12})
    said = verdict(source, 0)
    assert said.holds is True
    assert said.text.startswith("Cover 2 holds in every scenario. ")
    at = int(source.order[0])
    left = source.cover("resources")[at] - source.cover("cover_n")[at]
    assert f"{left:,.0f} of the resources against it is left." in said.text
    assert "Last to pay: own resources" in stress_one.told(source, 0)[at]
    called = stressed(resources={"own": 0.0, "own_after": 0.0, "assessment": 1000.0})
    assert "only with assessments of the survivors" in verdict(called, 0).text


def test_one_defaulter_and_none():
    source = stressed(resources={"cover": 1})
    at = int(source.order[0])
    group = source.tables["cover"]["cover_n_groups"][at].as_py()
    assert stress_one.told(source, 0)[at].startswith(f"\u2068{group[0]}\u2069 defaults in ")
    quiet = stressed(resources={"own": 1.0}, scenarios=3, accounts=0, members=2)
    assert verdict(quiet, 0).text == "No group loses more than its margin in any of the 3 scenarios."
    assert "nobody defaults" in stress_one.told(quiet, 0)[0]
    assert "No account loses more than its margin in any scenario." in stress_page.render(quiet)


def test_defaulters_that_are_named_and_lose_nothing():
    source = stressed(members=30, accounts=8, resources={"defaulters": ("member-020",)})
    told = stress_one.told(source, 0)
    assert set(told) == {
        f"If \u2068member-020\u2069 defaults in \u2068{name}\u2069, nothing is lost." for name in source.scenario
    }
    assert told[int(source.order[0])] in stress_page.render(source)


def test_without_resources_there_is_no_waterfall(data):
    source = stressed(resources=False, broken=False)
    text = stress_page.render(source)
    assert verdict(source, 0).holds is None
    assert "No resources are given" in text
    parsed = Page(text)
    named = {a["id"] for _, a in parsed.elements if "id" in a}
    assert not named & {"fall", "fund", "close-out", "reverse"}
    assert {"heat", "shocks", "losers", "members", "scenarios"} <= named
    assert json.loads(parsed.texts["script"][0])["fall"] is None


def test_without_scenarios_there_is_a_page():
    text = stress_page.render(stressed(scenarios=0, accounts=4, members=2))
    parsed = Page(text)
    assert "There are no scenarios." in text
    assert json.loads(parsed.texts["script"][0])["heat"] is None
    named = {a["id"] for _, a in parsed.elements if "id" in a}
    assert {a["href"][1:] for tag, a in parsed.elements if tag == "a"} <= named


def test_the_fund_needed_and_there(source):
    size = fund_size(source)
    assert size.needed == pytest.approx(1.1 * source.cover("cover_2").max())
    assert size.there == pytest.approx(8 * 2e6)
    said = [h.text for h in headlines(source, 0) if h.section == "fund"]
    assert said == [
        f"The default fund would have to be {size.needed:,.0f} USD; members have brought 16,000,000, "
        f"{size.needed - size.there:,.0f} too little."
    ]


def test_headlines_name_what_matters(source):
    said = {h.section: h.text for h in headlines(source, 0)}
    assert "a one-in-75,000-day move" in " ".join(h.text for h in headlines(source, 0))
    assert "default fund: holds in every direction" in " ".join(h.text for h in headlines(source, 0))
    assert said["close-out"].startswith("Closing out \u2068member-000\u2069 and \u2068member-001\u2069 after ")
    assert "costs 180 USD if sold over 8.0 days" in said["close-out"]
    tail = source.tables["concentration"].to_pylist()[0]
    assert f"{tail['half']} account" in said["tail"]
    assert tail["account"] in said["tail"]


def test_moves_are_read_as_they_are_written(data, source):
    rows = source.tables["scenarios"].to_pylist()
    first = [row for row in rows if row["scenario"] == source.scenario[0] and row["origin"] != "unmoved"]
    shown = data["shocks"]["rows"][0]
    told = {
        data["shocks"]["factors"][f]: (text, data["shocks"]["origins"][o])
        for f, text, o in zip(shown[::3], shown[1::3], shown[2::3], strict=True)
    }
    assert set(told) == {row["factor"] for row in first}
    for row in first:
        text, origin = told[row["factor"]]
        number, unit = text.split(" ")
        if row["unit"] == "difference":
            assert unit == "bp"
            assert float(number) == pytest.approx(1e4 * row["shock"], abs=0.5)
        else:
            assert unit == "%"
            assert float(number) == pytest.approx(100 * row["shock"], abs=0.05)
        assert ("1.3 SPX" in origin) == (row["origin"] == "proxy")


def test_a_written_scenario_tells_its_liquidity():
    source = stressed(scenarios=3, scenario_names=["crash", "history:a", "grid:b"])
    grid = stress_grids.scenarios(source, 0)
    said = dict(zip(grid.columns[0].values, grid.columns[-1].values, strict=True))
    assert said["crash"] == "where crash comes from, spreads × 3, volumes × 0.25"
    assert said["history:a"] == "where history:a comes from"


def test_the_map_of_two_moves(text, source):
    assert text.count("<polyline") == 2  # the line, and its halo
    assert "Beyond the thick line the layer margin is exhausted, on 80 % of the map" in text
    assert "<title>Stress test, 2026-01-05 00:00:00 UTC</title>" in text
    cells = re.findall(r'<rect class="(m\d)"', text)
    assert cells == ["m4", "m3", "m2", "m1", "m0"] * 5
    assert ">-60.0 %</text>" in text
