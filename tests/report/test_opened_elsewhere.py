"""The tables open in pandas, polars and DuckDB by the lines that stand in the README."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[2] / "README.md"


def snippet(begins):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    found = [block for block in blocks if block.startswith(begins)]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def values(run, tmp_path, monkeypatch):
    """What each expression of the snippet comes to, where the README's own folder lies."""
    run.write(tmp_path / "my-book-margin")
    monkeypatch.chdir(tmp_path)
    names, out = {}, []
    for statement in ast.parse(snippet("import pandas, polars, duckdb")).body:
        if isinstance(statement, ast.Expr):
            out.append(eval(compile(ast.Expression(statement.value), "README.md", "eval"), names))
        else:
            exec(compile(ast.Module([statement], []), "README.md", "exec"), names)
    return out


def test_the_snippet_gives_the_same_numbers(run, values):
    largest, vega, models = values
    margin = np.sort(run.margin["margin"].to_numpy())[::-1]
    np.testing.assert_array_equal(largest["margin"], margin[:10])
    assert vega["underlying"].to_list() == ["X"]
    assert vega["liquidity_vega"][0] == pytest.approx(run.breakdown["liquidity_vega"].to_numpy().sum())
    by_model = {model: (number, total) for model, number, total in models.fetchall()}
    assert sum(number for number, _ in by_model.values()) == run.margin.num_rows
    rows = run.margin.to_pylist()
    for model, (_, total) in by_model.items():
        assert total == pytest.approx(sum(row["margin"] for row in rows if row["core_model"] == model))
