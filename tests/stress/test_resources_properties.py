"""Properties of cover, waterfall and default fund on random houses; amounts are whole numbers, so sums are exact."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_var.stress.concentration import concentration
from gpu_var.stress.cover import cover
from gpu_var.stress.fund import fund_of, shared_out
from gpu_var.stress.house import House
from gpu_var.stress.shortfall import shortfalls
from gpu_var.stress.waterfall import LAYERS, groups_of, waterfall
from gpu_var.tables.config_stress_test import Resources

SCENARIOS = 3


@st.composite
def houses(draw):
    """A house, its accounts' losses and margins, and rules."""
    n_members, n_accounts = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    group = np.array(draw(st.lists(st.integers(0, n_members - 1), min_size=n_members, max_size=n_members)))
    known, group = np.unique(group, return_inverse=True)
    whole = st.integers(0, 1000)

    def numbers(n, values=whole):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=np.float64)

    member_of = numbers(n_accounts, st.integers(0, n_members - 1)).astype(np.int64)
    positions = np.zeros(n_members, dtype=np.bool_)
    positions[member_of] = True
    house = House(
        tuple(f"m{i}" for i in range(n_members)),
        group.astype(np.int64),
        tuple(f"g{i}" for i in range(len(known))),
        numbers(n_members),
        member_of,
        numbers(n_accounts, st.integers(0, 1)) > 0,
        positions,
    )
    loss = numbers(n_accounts * SCENARIOS, st.integers(-2000, 2000)).reshape(n_accounts, SCENARIOS)
    margin = np.broadcast_to(numbers(n_accounts)[:, None], loss.shape)
    rules = Resources(
        own=draw(whole),
        own_after=draw(whole),
        assessment=float(draw(st.integers(0, 3))),
        cover=draw(st.integers(1, 4)),
        clients=draw(st.sampled_from(["individual", "omnibus"])),
        house_covers_clients=draw(st.booleans()),
        allocation=draw(st.sampled_from(["average", "worst"])),
        least_contribution=draw(whole),
    )
    return house, loss, margin, rules


def resources_of(house, loss, margin, rules):
    lost = shortfalls(loss, margin, house, rules)
    covered = cover(lost.group, max(2, rules.cover))
    return lost, covered, waterfall(lost, house, rules, groups_of(covered, house, rules.cover))


@given(houses())
def test_waterfall_adds_up_exactly(drawn):
    house, *_ = drawn
    lost, _, falls = resources_of(*drawn)
    assert (falls.used.sum(axis=0) == falls.loss).all()
    assert (falls.loss == np.where(falls.defaulting, lost.loss, 0.0).sum(axis=0)).all()
    assert (falls.used >= 0.0).all()
    assert (falls.used[:-1] <= falls.available[:-1]).all()
    np.testing.assert_allclose(falls.fund.sum(axis=0), falls.used[LAYERS.index("fund")], atol=1e-9)
    np.testing.assert_allclose(falls.assessed.sum(axis=0), falls.used[LAYERS.index("assessments")], atol=1e-9)
    assert not falls.fund[falls.defaulting].any()
    assert not falls.assessed[falls.defaulting].any()
    assert (falls.fund <= house.contribution[:, None] * (1.0 + 1e-12)).all()


@given(houses(), st.lists(st.booleans(), min_size=5, max_size=5))
def test_any_set_of_defaulters_adds_up(drawn, chosen):
    house, loss, margin, rules = drawn
    lost = shortfalls(loss, margin, house, rules)
    falls = waterfall(lost, house, rules, np.array(chosen[: len(house.name)])[:, None])
    assert (falls.used.sum(axis=0) == falls.loss).all()


@given(houses())
def test_a_layer_pays_once_those_before_it_are_exhausted(drawn):
    _, _, falls = resources_of(*drawn)
    for layer in range(3, len(LAYERS)):
        pays = falls.used[layer] > 0.0
        assert (falls.used[2:layer, pays] == falls.available[2:layer, pays]).all()


@given(houses(), st.sampled_from(["own", "own_after", "assessment", "contribution", "margin"]), st.integers(1, 500))
def test_more_resources_never_increase_the_shortfall(drawn, which, more):
    """For fixed defaulters. A contribution is raised for all: a defaulter's own covers nobody else."""
    house, loss, margin, rules = drawn
    lost, _, falls = resources_of(*drawn)
    if which == "contribution":
        house = replace(house, contribution=house.contribution + more)
    elif which == "margin":
        lost = shortfalls(loss, margin + more, house, rules)
        assert (lost.member <= shortfalls(loss, margin, house, rules).member).all()
    else:
        rules = rules.model_copy(update={which: getattr(rules, which) + more})
    assert (waterfall(lost, house, rules, falls.defaulting).uncovered <= falls.uncovered).all()


@given(houses())
def test_cover_rises_with_the_number_of_groups(drawn):
    lost, covered, _ = resources_of(*drawn)
    assert (np.diff(covered.amount, axis=1) >= 0.0).all()
    assert (covered.amount[:, 0] == lost.group.max(axis=0)).all()
    assert (covered.amount[:, -1] <= lost.group.sum(axis=0)).all()
    for k in range(covered.amount.shape[1]):
        named = [sum(lost.group[g, s] for g in row[: k + 1] if g >= 0) for s, row in enumerate(covered.group)]
        assert (covered.amount[:, k] == named).all()


@given(houses())
def test_a_member_without_positions_changes_nothing(drawn):
    house, loss, margin, rules = drawn
    n_groups = len(house.group_name)
    larger = replace(
        house,
        name=(*house.name, "z"),
        group=np.append(house.group, n_groups),
        group_name=(*house.group_name, "z"),
        contribution=np.append(house.contribution, 0.0),
        positions=np.append(house.positions, False),
    )
    lost, covered, falls = resources_of(*drawn)
    lost_too, covered_too, falls_too = resources_of(larger, loss, margin, rules)
    assert (lost_too.member[:-1] == lost.member).all()
    assert not lost_too.member[-1].any()
    assert (covered_too.amount == covered.amount).all()
    assert (covered_too.group == covered.group).all()
    assert (falls_too.used == falls.used).all()
    assert (falls_too.available[:-1] == falls.available[:-1]).all()
    fund, fund_too = fund_of(lost, covered, house, rules), fund_of(lost_too, covered_too, larger, rules)
    assert fund_too.size == fund.size
    assert (fund_too.allocated[:-1] == fund.allocated).all()
    assert fund_too.allocated[-1] == 0.0 or not lost.member.any()


@given(houses(), st.integers(0, 2000))
def test_client_gains_never_cover_house_losses(drawn, gain):
    house, loss, margin, rules = drawn
    before = shortfalls(loss, margin, house, rules)
    richer = loss - np.where(house.house, 0.0, gain)[:, None]
    after = shortfalls(richer, margin + np.where(house.house, 0.0, gain)[:, None], house, rules)
    assert (after.house == before.house).all()
    if rules.clients == "individual":
        # nor those of another client: each account's own loss beyond its own margin counts
        alone = np.maximum(loss - margin, 0.0)[~house.house]
        for m in range(len(house.name)):
            lacking = alone[house.member_of[~house.house] == m].sum(axis=0)
            spare = np.maximum((margin - loss)[house.house & (house.member_of == m)].sum(axis=0), 0.0)
            expected = np.maximum(lacking - (spare if rules.house_covers_clients else 0.0), 0.0)
            assert (before.client[m] == expected).all()


@given(houses(), st.data())
def test_failed_accounts_are_left_out(drawn, data):
    house, loss, margin, rules = drawn
    failed = np.array(data.draw(st.lists(st.booleans(), min_size=len(loss), max_size=len(loss))))
    broken = np.where(failed[:, None], np.nan, loss)
    out = shortfalls(broken, np.where(failed[:, None], np.nan, margin), house, rules, failed=failed)
    kept = np.where(failed[:, None], 0.0, loss), np.where(failed[:, None], 0.0, margin)
    expected = shortfalls(*kept, house, rules)
    assert (out.member == expected.member).all()
    assert (out.loss == expected.loss).all()
    tail = concentration(broken, margin, failed, cover(out.group, 2), 2)
    assert np.isfinite(tail.total).all()
    assert not np.isin(tail.account, np.flatnonzero(failed)).any()


@given(houses())
def test_default_fund_adds_up_exactly(drawn):
    house, _, _, rules = drawn
    lost, covered, _ = resources_of(*drawn)
    fund = fund_of(lost, covered, house, rules)
    assert math.fsum(fund.allocated) == fund.size
    if fund.notes:
        assert fund.size > 1.1 * fund.cover
    else:
        assert fund.size == pytest.approx(1.1 * fund.cover, rel=1e-15)
    assert (fund.allocated >= np.where(house.obliged, rules.least_contribution, 0.0) - 1e-9).all()
    if lost.member.any():
        assert math.fsum(fund.share) == pytest.approx(1.0)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.just(0.0) | st.floats(1e-9, 1e6), st.floats(0, 1e4)), min_size=1, max_size=12),
    st.floats(0, 1e9),
)
def test_water_filling(members, above):
    """Either a member is at its floor, or at the level of all that are above theirs."""
    share, floor = (np.array(column) for column in zip(*members, strict=True))
    size = math.fsum(floor) + above
    out = shared_out(size, share, floor)
    assert abs(math.fsum(out) - size) <= np.spacing(size)
    tolerance = 1e-9 * (size + 1.0)
    assert (out >= floor - tolerance).all()
    weight = share if share.any() else np.ones(len(share))
    free = (out > floor + tolerance) & (weight > 0.0)
    if free.any():
        level = out[free] / weight[free]
        assert level == pytest.approx(np.full(free.sum(), level.max()), rel=1e-6)
        held = (weight > 0.0) & ~free
        assert (level.max() * weight[held] <= floor[held] + 3 * tolerance).all()


def test_blocks_of_scenarios_make_no_difference():
    """More scenarios than a block holds, against each on its own."""
    rng = np.random.default_rng(3)
    house = House(
        ("a", "b"),
        np.array([0, 1]),
        ("a", "b"),
        np.zeros(2),
        rng.integers(0, 2, 9),
        rng.random(9) < 0.4,
        np.ones(2) > 0,
    )
    loss, margin = rng.normal(0, 100, (9, 300)), np.abs(rng.normal(0, 50, (9, 300)))
    whole = shortfalls(loss, margin, house, Resources())
    for s in (0, 127, 128, 299):
        one = shortfalls(loss[:, [s]], margin[:, [s]], house, Resources())
        assert (one.member[:, 0] == whole.member[:, s]).all()
