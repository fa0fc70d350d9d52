from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from gpu_var.tables.config import Config
from gpu_var.tables.config_models import Fhs, MonteCarlo
from gpu_var.tables.findings import InputError

TOP = 'base_currency = "USD"\n'


def load(folder, text):
    path = folder / "margin.toml"
    path.write_text(text)
    return Config.load(path)


@pytest.mark.parametrize(
    ("as_of", "utc"),
    [
        ("2026-01-05T08:30:00Z", datetime(2026, 1, 5, 8, 30, tzinfo=UTC)),
        ("2026-01-05T08:30:00+05:30", datetime(2026, 1, 5, 3, 0, tzinfo=UTC)),
        ("2026-01-05T08:30:00.25", datetime(2026, 1, 5, 8, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ('"2026-01-05"', datetime(2026, 1, 5, tzinfo=UTC)),
        ('"2026-01-05 08:30-01:00"', datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
    ],
)
def test_as_of_is_read_in_utc(tmp_path, as_of, utc):
    config = load(tmp_path, f"as_of = {as_of}\n{TOP}[fhs]\n")
    assert config.as_of == utc
    assert config.as_of.utcoffset().total_seconds() == 0
    assert config.as_of_us == round(utc.timestamp() * 1e6)


def test_monte_carlo_takes_from_fhs_what_it_does_not_say(tmp_path):
    text = f"as_of = 2026-01-05\n{TOP}[fhs]\nlookback = 30\ndecay = 0.9\n[monte_carlo]\ndecay = 0.8\n"
    carlo = load(tmp_path, text).monte_carlo
    assert (carlo.lookback, carlo.decay, carlo.max_gap_days) == (30, 0.8, 15)


def test_monte_carlo_alone_has_the_defaults(tmp_path):
    config = load(tmp_path, f"as_of = 2026-01-05\n{TOP}[monte_carlo]\n")
    assert config.fhs is None
    assert config.monte_carlo == MonteCarlo(lookback=500, decay=0.97, max_gap_days=15, paths=10_000, seed=0)


def test_defaults_are_the_contracts():
    config = Config(as_of="2026-01-05", base_currency="USD", fhs=Fhs())
    assert config.as_dict() == {
        "as_of": "2026-01-05T00:00:00Z",
        "base_currency": "USD",
        "holding_period_days": 1,
        "level": 0.99,
        "measure": "es",
        "returns": "log",
        "smile": "sticky_moneyness",
        "roll": False,
        "allow_unshocked": [],
        "fhs": {
            "lookback": 500,
            "decay": 0.97,
            "scaling": "full",
            "max_gap_days": 15,
            "volatility": "ewma",
            "volatility_floor": {},
            "correlation_scaling": False,
            "correlation_shrinkage": 0.0,
            "horizon": "scale",
        },
        "core": {"combine": "max"},
        "concentration": {"participation": 0.25},
        "liquidity": {},
        "batch": {"shard_revaluations": 200_000_000, "chunk_megabytes": 1_024},
    }


def test_a_mistake_in_fhs_is_not_said_of_monte_carlo_too(tmp_path):
    with pytest.raises(InputError) as error:
        load(tmp_path, f"as_of = 2026-01-05\n{TOP}[fhs]\ndecay = 2\n[monte_carlo]\n")
    assert error.value.findings.errors == [
        "margin.toml, key fhs.decay: 2 is out of range; expected a number with 0 < decay < 1"
    ]


def test_keyword_arguments_are_checked():
    with pytest.raises(ValidationError, match="level"):
        Config(as_of="2026-01-05", base_currency="USD", fhs=Fhs(), level=1)
