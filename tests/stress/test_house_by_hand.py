"""A house worked out by hand: three members, one with clients, two defaults, every layer of the waterfall hit."""

import math

import numpy as np
import pytest
from stress.stress_books import CRASH, HOLDINGS, MEMBERS, RALLY, RESOURCES, file_of, house, stressed

from gpu_var.stress.waterfall import LAYERS

near = pytest.approx


def rows(table, **where):
    """The rows of a table that have these values."""
    return [row for row in table.to_pylist() if all(row[key] == value for key, value in where.items())]


@pytest.fixture(scope="module")
def test(tmp_path_factory):
    return stressed(house(tmp_path_factory.mktemp("by_hand") / "book"))


def test_losses_of_accounts(test):
    """A crash of 30 % costs 30 a share held, a rally of 20 % costs 20 a share owed; the margin is 10 a share."""
    losses = next(test.losses())
    assert sum(part.num_rows for part in test.losses()) == 10
    for account, (member, kind, shares) in HOLDINGS.items():
        for scenario, move in (("crash", -30.0), ("rally", 20.0)):
            (row,) = rows(losses, account=account, scenario=scenario)
            assert (row["member"], row["kind"], row["status"]) == (member, kind, "ok")
            assert row["loss"] == near(-shares * move)
            assert row["margin"] == near(10 * abs(shares))
            assert row["loss_over_margin"] == near(max(-shares * move - 10 * abs(shares), 0.0))
            assert (row["liquidation"], row["collateral"]) == (0.0, 0.0)


def test_shortfalls_of_members(test):
    """Crash: alpha's house loses 10·30 − 100 = 200 beyond its margin and alpha-1 20·30 − 200 = 400; alpha-2, which
    gains 15·30 = 450, helps neither: 600. beta: 12·30 − 120 = 240. gamma gains 660.

    Rally: alpha-2 loses 15·20 = 300, 150 beyond its margin, which alpha's house covers out of its margin of 100 and its
    gain of 10·20 = 200. gamma: 22·20 − 220 = 220.
    """
    crash, rally = ({r["member"]: r for r in rows(test.tables["members"], scenario=s)} for s in ("crash", "rally"))
    alpha = crash["alpha"]
    assert alpha["house_loss"] == near(300)
    assert alpha["client_loss"] == near(600)
    assert alpha["loss"] == near(900)
    assert alpha["margin"] == near(100 + 200 + 150)
    assert alpha["house_shortfall"] == near(200)
    assert alpha["client_shortfall"] == near(400)
    assert [crash[m]["shortfall"] for m in ("alpha", "beta", "gamma")] == near([600, 240, 0])
    assert crash["gamma"]["house_loss"] == near(-660)
    assert crash["gamma"]["loss"] == 0.0
    assert rally["alpha"]["house_loss"] == near(-200)
    assert rally["alpha"]["client_loss"] == near(300)
    assert rally["alpha"]["margin"] == near(100 + 200 + 200 + 150)  # the house's gain of 200 is there for its clients
    assert [rally[m]["shortfall"] for m in ("alpha", "beta", "gamma")] == near([0, 0, 220])
    assert [crash[m]["defaults"] for m in ("alpha", "beta", "gamma")] == [True, True, False]
    assert [rally[m]["defaults"] for m in ("alpha", "beta", "gamma")] == [False, False, True]


def test_cover(test):
    crash, rally = test.tables["cover"].to_pylist()
    assert (crash["cover_1"], crash["cover_2"]) == (near(600), near(840))
    assert (crash["cover_1_group"], crash["cover_2_groups"]) == ("alpha", ["alpha", "beta"])
    assert (rally["cover_1"], rally["cover_2"]) == (near(220), near(220))
    assert (rally["cover_1_group"], rally["cover_2_groups"]) == ("gamma", ["gamma"])
    assert (crash["cover_n"], crash["cover_n_groups"]) == (crash["cover_2"], crash["cover_2_groups"])
    # beyond margin there are alpha's 150 and beta's 360, own 60, gamma's 120, 50 after it, and another 120 of gamma's
    assert crash["resources"] == near(150 + 360 + 60 + 120 + 50 + 120)
    assert crash["uncovered"] == near(100)
    assert not crash["holds"]
    assert not crash["holds_prefunded"]
    # gamma's 120 and own 60 pay 180 of its 220, and alpha and beta the other 40
    assert rally["uncovered"] == 0.0
    assert rally["holds"]
    assert rally["holds_prefunded"]


def test_waterfall(test):
    """alpha and beta lose 900 + 360 = 1,260 together, which every layer shares.

    margin: available 450 + 120 = 570, used (100 + 200) + 120 = 420; alpha-2's 150 goes back to it.
    contribution: alpha's 150 of 150, beta's 240 of 360: 390 of 510; beta's 120 goes back to it. Left 1,260 − 810 = 450.
    own 60: left 390. fund: gamma's 120: left 270. own_after 50: left 220. assessments 1.0·120: left 100, uncovered.
    """
    table = {row["layer"]: row for row in rows(test.tables["waterfall"], scenario="crash")}
    assert tuple(table) == LAYERS
    expected = {
        "margin": (570, 420),
        "contribution": (510, 390),
        "own": (60, 60),
        "fund": (120, 120),
        "own_after": (50, 50),
        "assessments": (120, 120),
    }
    for layer, (available, used) in expected.items():
        row = table[layer]
        assert row["defaulters"] == ["alpha", "beta"]
        assert (row["available"], row["used"], row["left"]) == near((available, used, available - used), abs=1e-9)
    assert table["uncovered"]["used"] == near(100)
    assert (table["uncovered"]["available"], table["uncovered"]["left"]) == (None, None)
    assert sum(row["used"] for row in table.values()) == near(1260)
    (gamma,) = rows(test.tables["members"], member="gamma", scenario="crash")
    assert (gamma["fund_used"], gamma["assessed"]) == near((120, 120))


def test_survivors_share_pro_rata(test):
    """alpha alone: 600 − 150 − own 60 = 390 out of beta's 360 and gamma's 120, so 390·360/480 = 292.50 and 97.50."""
    alone = test.waterfall_of(["alpha"])
    crash = test.scenarios.set.name.index("crash")
    assert alone.used[:, crash] == near([300, 150, 60, 390, 0, 0, 0], abs=1e-9)
    assert alone.available[:-1, crash] == near([450, 150, 60, 480, 50, 480])
    assert alone.fund[:, crash] == near([0, 292.5, 97.5])
    assert not alone.assessed.any()


def test_when_everyone_defaults(test):
    """No survivor is left to pay: 600 − 150 of alpha's, nothing of beta's and gamma's; own 60 + 50 of 450."""
    everyone = test.waterfall_of(["alpha", "beta", "gamma"])
    crash = test.scenarios.set.name.index("crash")
    assert everyone.used[:, crash] == near([420, 390, 60, 0, 50, 0, 340], abs=1e-9)
    assert everyone.available[3, crash] == everyone.available[5, crash] == 0.0
    assert not everyone.fund.any()
    assert np.isfinite(everyone.fund).all()


def test_nobody_defaults(test):
    assert not test.waterfall_of([]).used.any()
    with pytest.raises(KeyError, match="delta"):
        test.waterfall_of(["delta"])


def test_default_fund(test):
    """1.1·840 = 924. Average stress losses over margin: 600/2, 240/2 and 220/2, so shares of 600, 240, 220 in 1,060."""
    table = {row["member"]: row for row in test.tables["fund"].to_pylist()}
    assert test.fund.cover == near(840)
    assert test.fund.size == near(924)
    for member, worst in (("alpha", 600), ("beta", 240), ("gamma", 220)):
        row = table[member]
        assert row["stress_loss_over_margin"] == near(worst / 2)
        assert row["share"] == near(worst / 1060)
        assert row["allocated"] == near(924 * worst / 1060)
        assert row["change"] == near(924 * worst / 1060 - MEMBERS[member][1])
    assert math.fsum(test.fund.allocated) == test.fund.size


def test_default_fund_with_a_floor(tmp_path):
    """gamma's 924·220/1,060 = 191.77 is under the least of 200; 724 is left for 600 : 240, so 517.14 and 206.86."""
    floored = stressed(
        house(tmp_path / "book"), file_of(resources={**RESOURCES, "least_contribution": 200.0, "allocation": "worst"})
    )
    assert floored.fund.allocated == near([724 * 600 / 840, 724 * 240 / 840, 200])
    assert floored.fund.stress_loss == near([600, 240, 220])
    assert floored.fund.size == near(924) == math.fsum(floored.fund.allocated)
    above = stressed(house(tmp_path / "other"), file_of(resources={**RESOURCES, "least_contribution": 400.0}))
    assert above.fund.allocated.tolist() == [400.0, 400.0, 400.0]
    assert above.fund.size == 1200.0
    assert any("least contributions add up to 1,200.00, more than the 924.00" in note for note in above.notes)


def test_concentration(test):
    """In the crash alpha-1 is 400 of the 400 + 240 + 200 = 840 that accounts lose beyond their margin."""
    crash = rows(test.tables["concentration"], scenario="crash")
    assert [row["account"] for row in crash] == ["alpha-1", "beta-house", "alpha-house"]
    assert [row["over"] for row in crash] == near([400, 240, 200])
    assert [row["share"] for row in crash] == near([400 / 840, 240 / 840, 200 / 840])
    assert [row["cumulative"] for row in crash] == near([400 / 840, 640 / 840, 1])
    assert {row["half"] for row in crash} == {2}
    assert crash[0]["herfindahl"] == near((400**2 + 240**2 + 200**2) / 840**2)


def test_affiliates_default_together(tmp_path):
    """beta and gamma are one group. Crash: beta's 240, and gamma's gain of 660 is not there for it. Rally: 220."""
    members = {"alpha": ("", 150.0), "beta": ("north", 360.0), "gamma": ("north", 120.0)}
    test = stressed(house(tmp_path / "book", members=members))
    crash, rally = test.tables["cover"].to_pylist()
    assert (crash["cover_2"], crash["cover_2_groups"]) == (near(840), ["alpha", "north"])
    assert (rally["cover_1"], rally["cover_1_group"]) == (near(220), "north")
    # gamma defaults with beta, so nobody is left: its 120 covers nothing, for it has no loss of its own
    used = {row["layer"]: row["used"] for row in rows(test.tables["waterfall"], scenario="crash")}
    assert used == near(dict(zip(LAYERS, (420, 390, 60, 0, 50, 0, 340), strict=True)), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "crash", "rally"),
    [
        # alpha's clients net: 600 − 450 against 350 of margin, so the house's 200 alone is short
        ({"clients": "omnibus"}, [200, 240, 0], [0, 0, 220]),
        # alpha-2's 150 is short in the rally, though the house has 300 left
        ({"house_covers_clients": False}, [600, 240, 0], [150, 0, 220]),
    ],
)
def test_segregation(tmp_path, change, crash, rally):
    test = stressed(house(tmp_path / "book"), file_of(resources={**RESOURCES, **change}))
    assert test.shortfall.member == near(np.array([crash, rally]).T, abs=1e-9)


def test_client_gains_never_cover_house_losses(tmp_path):
    """With clients that gain a million, and as much margin of theirs, the house is short of the same 200."""
    holdings = {**HOLDINGS, "alpha-3": ("alpha", "client", -1e6)}
    for clients in ("individual", "omnibus"):
        test = stressed(
            house(tmp_path / clients, holdings), file_of(CRASH, resources={**RESOURCES, "clients": clients})
        )
        (alpha,) = rows(test.tables["members"], member="alpha")
        assert alpha["house_shortfall"] == near(200)


def test_collateral_at_its_value_in_the_scenario(tmp_path):
    """alpha-house has posted 2 X and 50 dollars: 250 today, 2·70 + 50 = 190 in the crash, 2·120 + 50 = 290 later.

    alpha-1: 160 euros at 1.25, which no factor moves: 200. beta owes 40 dollars, which it has lost besides its 360.
    """
    posted = [
        ("alpha-house", "X", 2),
        ("alpha-house", "USD", 50),
        ("alpha-1", "EUR", 160),
        ("beta-house", "USD", -40),
        ("gamma-house", "USD", 500),
    ]
    book = house(tmp_path / "book", collateral=posted)
    test = stressed(book, file_of(resources={**RESOURCES, "against": "collateral"}))
    losses = next(test.losses())
    assert [row["collateral"] for row in rows(losses, account="alpha-house")] == near([190, 290])
    assert [row["loss_over_collateral"] for row in rows(losses, account="alpha-house")] == near([110, 0])
    assert [row["collateral"] for row in rows(losses, account="alpha-1")] == near([200, 200])
    assert any("stays as of today: EUR" in note for note in test.notes)
    crash = {r["member"]: r for r in rows(test.tables["members"], scenario="crash")}
    assert [crash[m]["shortfall"] for m in ("alpha", "beta", "gamma")] == near([110 + 400, 400, 0])
    assert [crash[m]["loss"] for m in ("alpha", "beta", "gamma")] == near([900, 400, 0])
    larger = stressed(book, file_of(resources={**RESOURCES, "against": "larger"}))
    crash = {r["member"]: r for r in rows(larger.tables["members"], scenario="crash")}
    # alpha-house has 190 rather than 100, alpha-1 200 either way, beta its margin of 120
    assert [crash[m]["shortfall"] for m in ("alpha", "beta", "gamma")] == near([110 + 400, 240, 0])


def test_liquidation(tmp_path):
    """Half-spread 1 %: it costs 1 a share today. Three times the spreads add 2 a share.

    Daily volume 40, of which a quarter may be taken: 20 shares take 2 days, h* = 1 + (2 − 1)/3, and concentration
    (√(4/3) − 1)·200. A quarter of the volume: 8 days, h* = 1 + 7/3, so (√(10/3) − 1)·200, (√(10/3) − √(4/3))·200 more.
    """
    book = house(tmp_path / "book", liquidity="40,0.01,")
    wide = {**CRASH, "name": "wide", "spreads": 3.0}
    thin = {**CRASH, "name": "thin", "adv": 0.25}
    test = stressed(book, file_of(CRASH, wide, thin))
    plain, spreads, volumes = rows(next(test.losses()), account="alpha-1")
    assert plain["loss"] == near(600)
    assert plain["liquidation"] == 0.0
    assert plain["margin"] == near(200 + 20 + (math.sqrt(4 / 3) - 1) * 200)
    assert (spreads["liquidation"], spreads["loss"]) == near((40, 640))
    assert volumes["liquidation"] == near(200 * (math.sqrt(10 / 3) - math.sqrt(4 / 3)))
    assert volumes["loss"] == near(600 + volumes["liquidation"])


def test_without_resources(tmp_path):
    test = stressed(house(tmp_path / "book"), file_of(CRASH, RALLY, resources={}))
    assert test.waterfall is None
    assert test.fund is None
    assert "fund" not in test.tables
    assert test.tables["waterfall"].num_rows == 0
    crash, _ = test.tables["cover"].to_pylist()
    assert crash["cover_2"] == near(840)
    assert crash["holds"] is None
    assert crash["uncovered"] is None
    assert any("no [resources]" in note for note in test.notes)


def test_defaulters_of_the_file(tmp_path):
    """The waterfall is theirs in every scenario; the cover stays that of the largest groups."""
    test = stressed(house(tmp_path / "book"), file_of(resources={**RESOURCES, "defaulters": ["gamma"]}))
    rally = {row["layer"]: row for row in rows(test.tables["waterfall"], scenario="rally")}
    assert {tuple(row["defaulters"]) for row in test.tables["waterfall"].to_pylist()} == {("gamma",)}
    # 440 lost: 220 of margin, 120 of its contribution, own 60; and 40 of alpha's 150 and beta's 360
    assert [rally[layer]["used"] for layer in LAYERS] == near([220, 120, 60, 40, 0, 0, 0], abs=1e-9)
    crash, _ = test.tables["cover"].to_pylist()
    assert crash["uncovered"] == near(100)
