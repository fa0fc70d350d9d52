"""What has changed since a previous run."""

from dataclasses import replace

import numpy as np
import pytest
from report.houses import CONFIG, facts, house

from gpu_var.batch.errors import UsageError
from gpu_var.report import headlines, page, summary
from gpu_var.report.movement import lines, movement


@pytest.fixture(scope="module")
def now():
    return house(100, seed=1, failed=3)


@pytest.fixture(scope="module")
def then():
    return house(90, seed=2, first=20, failed=2)  # 20 of now are new, 10 of then are gone


def test_the_parts_of_the_change_add_up(now, then):
    moved = movement(now, then)
    total = np.nansum(now.amount("margin"))
    parts = moved.shared + moved.by_new + moved.by_gone + moved.by_failure
    assert moved.total_then + parts == pytest.approx(total, rel=1e-12)
    by_name = dict(zip(then.margin["account"].to_pylist(), then.margin["margin"].to_pylist(), strict=True))
    rows = zip(now.margin["account"].to_pylist(), now.margin["margin"].to_pylist(), strict=True)
    wanted = [np.nan if m is None or by_name.get(a, 0.0) is None else m - by_name.get(a, 0.0) for a, m in rows]
    np.testing.assert_array_equal(moved.change(now), wanted)
    assert np.count_nonzero(moved.new) == 20
    assert sorted(moved.gone["account"].to_pylist()) == [f"account-0001{i:02d}" for i in range(10)]
    assert moved.by_failure == pytest.approx(-sum(by_name[f"account-0000{i}"] for i in (97, 98, 99)))


def test_the_largest_moves_come_first_and_their_parts_add_up(now, then):
    moved = movement(now, then)
    grid = summary.movers(now, moved, 2)
    columns = {column.key: column.values for column in grid.columns}
    size = np.abs(columns["change"])
    assert (np.diff(size) <= 0).all()
    assert grid.rows == np.count_nonzero(np.nan_to_num(moved.change(now)))
    parts = np.sum([values for key, values in columns.items() if key.startswith("by_")], axis=0)
    np.testing.assert_allclose(parts, columns["change"], rtol=1e-9)
    assert set(columns["what"]) == {"new", "moved"}
    assert np.isnan(columns["then"][columns["what"] == "new"]).all()
    np.testing.assert_allclose(
        columns["relative"][columns["what"] == "moved"],
        (columns["now"] / columns["then"] - 1)[columns["what"] == "moved"],
    )


def test_a_charge_that_was_off_then_counts_as_nothing(now):
    before = house(100, seed=1, failed=3)
    left = [name for name in before.margin.column_names if name != "gamma_charge"]
    without = replace(before, margin=before.margin.select(left))
    moved = movement(now, without)
    gamma = next(c for c in summary.components(now, moved) if c.name == "gamma_charge")
    assert (gamma.then, gamma.total) == (0.0, np.nansum(now.amount("gamma_charge")))
    back = movement(before, now)
    assert [c.name for c in summary.components(before, back)] == now.components
    dropped = movement(without, now)
    off = next(c for c in summary.components(without, dropped) if c.name == "gamma_charge")
    assert (off.then, off.total) == (np.nansum(now.amount("gamma_charge")), 0.0)


def test_what_the_runs_were_computed_with_is_told(now):
    other = replace(now, facts=facts(100, level=0.98) | {"version": "0.0.9"})
    assert movement(now, other).parameters == [("version of gpu-var", "0.0.9", "0.1.0"), ("level", "0.98", "0.99")]
    said = [h.text for h in headlines.headlines(now, movement(now, other), 0)]
    assert "The previous run was computed otherwise: version of gpu-var, level." in said
    assert "The total margin is what it was since 2026-01-05." in said
    assert movement(now, now).parameters == []


def test_another_currency_cannot_be_compared(now):
    other = replace(now, facts=facts(100, base_currency="EUR"), name="yesterday")
    with pytest.raises(UsageError, match="--previous yesterday is in EUR and this run in USD"):
        page.render_source(now, other)


def test_the_same_run_twice_has_not_moved(now):
    moved = movement(now, now)
    assert (moved.by_new, moved.by_gone, moved.by_failure, moved.shared) == (0, 0, 0, 0)
    assert summary.movers(now, moved, 2).rows == 0
    assert "No account's margin has moved." in page.render_source(now, now)


def test_nobody_then_or_now(now):
    nobody = house(0)
    assert movement(now, nobody).by_new == pytest.approx(np.nansum(now.amount("margin")))
    assert movement(nobody, now).by_gone == pytest.approx(-np.nansum(now.amount("margin")))
    page.render_source(now, nobody)
    page.render_source(nobody, now)


def test_a_configuration_in_lines():
    found = dict(lines(CONFIG))
    assert found["fhs.lookback"] == "500"
    assert found["liquidity"] == "enabled"
    assert found["measure"] == "es"
