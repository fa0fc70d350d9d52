"""Published numbers: tails in closed form, known answers of the random number generator."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cpu_reference.normals import philox4x32
from cpu_reference.tail import tail

DATA = Path(__file__).parent.parent / "data"
MIDDLES = (np.arange(400_000) + 0.5) / 400_000

# Acerbi and Tasche (2002), McNeil, Frey and Embrechts (2015), section 2.3.4: N(0, 1) and unscaled Student t.
TAILS = [
    (stats.norm, 0.99, 2.3263479, 2.6652142),
    (stats.norm, 0.975, 1.9599640, 2.3378028),
    (stats.t(3), 0.99, 4.5407029, 7.0030820),
    (stats.t(5), 0.99, 3.3649300, 4.4524291),
]


@pytest.mark.parametrize(("law", "level", "var", "es"), TAILS)
def test_tails_of_stratified_quantiles_are_the_closed_forms(law, level, var, es):
    losses = law.ppf(MIDDLES)
    shuffled = np.random.default_rng(0).permutation(losses)
    found = tail(np.stack([shuffled, 3 * shuffled - 1]), level)
    assert found.var == pytest.approx([var, 3 * var - 1], rel=2e-4)
    assert found.es == pytest.approx([es, 3 * es - 1], rel=1e-3)  # the middles cut the t's tail short
    assert found.worst == pytest.approx([losses[-1], 3 * losses[-1] - 1])


def known_answers() -> list[dict[str, str]]:
    with (DATA / "philox4x32_kat.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def words(text: str) -> np.ndarray:
    return np.array([int(word, 16) for word in text.split(".")], dtype=np.uint32)


def test_philox_known_answers():
    rows = known_answers()
    assert {row["rounds"] for row in rows} == {"7", "10"}
    for row in rows:
        k0, k1 = (int(word) for word in words(row["key"]))
        counter = np.repeat(words(row["ctr"])[:, None], 3, axis=1)
        got = philox4x32(counter, (k0, k1), rounds=int(row["rounds"]))
        assert (got == words(row["expected"])[:, None]).all()
