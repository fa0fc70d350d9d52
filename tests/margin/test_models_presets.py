"""The worked examples of the presets `span2` and `prisma`: by hand, by the code, and as their pages print them."""

import re
import tomllib
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from gpu_var.cli import main
from gpu_var.margin.requirement import Requirement, requirement
from gpu_var.market.checks import load
from gpu_var.tables.presets import FOLDER, text


def page(preset):
    return (FOLDER / f"{preset}.md").read_text(encoding="utf-8")


def blocks(preset):
    """The files that the page shows: name -> content."""
    return dict(re.findall(r"^`([\w.]+)`\n\n```\w*\n(.*?)```", page(preset), re.MULTILINE | re.DOTALL))


def write(folder, preset):
    folder.mkdir(parents=True)
    for name, content in blocks(preset).items():
        (folder / name).write_text(content)
    return folder


def run(folder, preset) -> Requirement:
    return requirement(*load(write(folder, preset))[:3])


def printed(preset, *cells):
    """Whether the page has the row of a table."""
    return "| " + " | ".join(f"{x:,.2f}" if isinstance(x, float) else x for x in cells) + " |" in page(preset)


def test_span2(tmp_path):
    found = run(tmp_path / "book", "span2")
    # Covariances in %²: from the sample's, each a quarter of the day's product and three quarters of the last.
    variance, covariance = [16 / 3], [0.0]
    for a, b in ((2, 2), (-2, -2), (2, -2), (-2, 2)):
        variance.append(0.75 * variance[-1] + 0.25 * 4)
        covariance.append(0.75 * covariance[-1] + 0.25 * a * b)
    today = covariance[-1] / variance[-1]
    moves = []
    for t, (a, b) in enumerate(((2, 2), (-2, -2), (2, -2), (-2, 2))):
        sigma, rho = sqrt(variance[t]), covariance[t] / variance[t]
        first = a / sigma
        second = (b / sigma - rho * first) / sqrt(1 - rho**2)
        moves.append((3 * first, 3 * (today * first + sqrt(1 - today**2) * second)))
        assert printed("span2", f"2026-01-0{t + 2}", *map(float, (a, b, sigma, rho, first, second, *moves[-1])))
    assert sqrt(variance[-1]) < 3  # the floor

    sets = found.measured.sets
    np.testing.assert_allclose(sets["fhs"].shock * 100, moves, rtol=1e-12)
    held = {"long both": (100, 200), "spread": (100, -200)}
    value = 100.0
    rows = {row["account"]: row for row in found.tables["margin"].to_pylist()}
    for name, (a, b) in held.items():
        pnl = [a * value * x / 100 + b * 50 * y / 100 for x, y in moves]
        var = -min(pnl)
        crash = 0.2 * (a * value + b * 50)
        core = 0.75 * var + 0.25 * max(crash, 0.0)
        # 100 A are four days' work: a day's horizon and a third of three more are two.
        alone = 0.75 * -min(x for x, _ in moves) * 100 + 0.25 * 2_000
        concentration = (sqrt(2) - 1) * alone
        liquidity = 0.001 * (abs(a) * value + abs(b) * 50)
        margin = core + liquidity + concentration
        row = rows[name]
        for column, expected in (
            ("fhs_var", var),
            ("stress", crash),
            ("core", core),
            ("concentration", concentration),
            ("liquidity", liquidity),
            ("margin", margin),
        ):
            assert row[column] == pytest.approx(expected, abs=1e-8), column
        assert row["core_model"] == "blend"
        assert printed("span2", name, var, crash, core, concentration, liquidity, margin)


def test_prisma(tmp_path):
    found = run(tmp_path / "book", "prisma")
    returns = [1, -2, 4, -2, 1]
    size = [2.0]
    for r in returns:
        size.append(0.5 * size[-1] + 0.5 * abs(r))
    moves = [r * size[-1] / then for r, then in zip(returns, size, strict=False)]
    for day, r, then, move in zip(range(1, 6), returns, size, moves, strict=False):
        assert printed("prisma", f"2026-01-0{day}", float(r), f"{then:.4f}", f"{move:.4f}")
    two = [x + y for x, y in pairwise(moves)]
    np.testing.assert_allclose(found.measured.sets["fhs"].shock[:, 0] * 100, two, rtol=1e-12)
    assert found.measured.sets["fhs"].samples == 2
    assert found.measured.sets["stress"].name == ["period:2020-03-11", "period:2020-03-12"]

    rows = {row["account"]: row for row in found.tables["margin"].to_pylist()}
    for name, value in (("long", 10_000), ("short", -10_000)):
        loss = [-value * x / 100 for x in two]
        var = (max(loss[0], loss[2]) + max(loss[1], loss[3])) / 2
        stress = max(-value * x for x in (104.5 / 110 - 1, 100.1 / 107.8 - 1, 0.0))
        core = max(var, stress)
        first, second = (loss[0] + loss[1]) / 2, (loss[2] + loss[3]) / 2
        spread = abs(first - second) / sqrt(2)
        add_on = min(spread, 0.25 * max(var, 0.0))
        expected = {
            "fhs_var": var,
            "stress": stress,
            "core": core,
            "correlation_break": add_on,
            "margin": core + add_on,
        }
        assert {column: rows[name][column] for column in expected} == pytest.approx(expected, abs=1e-8)
        assert printed("prisma", name, *map(float, (var, stress, first, second, spread, add_on, core + add_on)))
    assert rows["long"]["worst_scenario"] == "stress:period:2020-03-12"
    assert rows["short"]["core_model"] == "fhs"


@pytest.mark.parametrize("preset", ["span2", "prisma"])
def test_the_examples_run_as_they_stand(tmp_path, preset, capsys):
    assert main(["run", str(write(tmp_path / "book", preset)), "--quiet"]) == 0


@pytest.mark.parametrize("preset", ["span2", "prisma"])
def test_every_key_of_the_preset_is_explained(preset):
    def leaves(table):
        tables = [value for value in table.values() if isinstance(value, dict)]
        return {key for key, value in table.items() if not isinstance(value, dict)}.union(*map(leaves, tables))

    named = leaves(tomllib.loads(text(preset)))
    named = {key for key in named if ":" not in key}  # patterns of factors
    assert len(named) > 8
    for key in named:
        assert f"`{key}`" in page(preset), key
