"""A whole stress test of a clearing house through the command line, in a process of its own."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from books import write, write_config, write_house

from benchmarks.house import _Command, measure

SCENARIOS, ACCOUNTS, INSTRUMENTS, POSITIONS, MEMBERS = 1_000, 10_000, 100_000, 1_000_000, 50

RESOURCES = """
[resources]
own = 1e7
own_after = 1e7
least_contribution = 1e5
"""


def write_members(folder: Path, rng: np.random.Generator) -> None:
    """Fifty members in forty groups, each with a house account; all other accounts are their clients."""
    member = rng.integers(0, MEMBERS, ACCOUNTS)
    name = np.char.add("M", np.arange(MEMBERS).astype(str))
    write(
        folder / "accounts.parquet",
        account=np.char.add("A", np.arange(ACCOUNTS).astype(str)),
        member=np.concatenate([name, name[member[MEMBERS:]]]),
        kind=np.where(np.arange(ACCOUNTS) < MEMBERS, "house", "client"),
    )
    write(
        folder / "members.parquet",
        member=name,
        group=np.char.add("G", (np.arange(MEMBERS) % 40).astype(str)),
        contribution=np.round(rng.uniform(1e6, 2e7, MEMBERS)),
    )


def write_scenarios(folder: Path, rng: np.random.Generator) -> Path:
    """Scenarios in which five sectors of stocks and all volatilities move; every tenth with wider spreads."""
    lines = ["library = []"]
    for i in range(SCENARIOS):
        market = rng.normal(0.0, 0.15)
        moves = [f'"spot:U00{s}?" = {max(market + rng.normal(0.0, 0.05), -0.9):.4f}' for s in range(5)]
        moves.append(f'"iv:*" = {np.exp(-2.0 * market + rng.normal(0.0, 0.1)) - 1.0:.4f}')
        lines += ["[[scenario]]", f'name = "s{i}"', f"shocks = {{ {', '.join(moves)} }}"]
        if i % 10 == 0:
            lines += ["spreads = 3.0", "adv = 0.5"]
    path = folder / "scenarios.toml"
    path.write_text("\n".join(lines) + "\n" + RESOURCES)
    return path


class StressTest(_Command):
    """1,000 scenarios × 10,000 accounts × 100,000 instruments (half American), 1,000,000 positions, 50 members.

    The margins are those of a finished run (`--margin`), which is not in the figure; every core.
    """

    def setup_cache(self) -> dict[str, float]:
        rng = np.random.default_rng(6)
        with tempfile.TemporaryDirectory() as scratch:
            folder = write_house(
                Path(scratch) / "house", instruments=INSTRUMENTS, accounts=ACCOUNTS, positions=POSITIONS, american=0.5
            )
            write_config(folder, fhs=100)
            write_members(folder, rng)
            write_scenarios(folder, rng)
            margin, out = Path(scratch) / "margin", Path(scratch) / "stress"
            measure("run", str(folder), "--out", str(margin))
            seconds, gigabytes = measure("stress", str(folder), "--margin", str(margin), "--out", str(out))
            told = json.loads((out / "stress.json").read_text())
        return {"seconds": seconds, "gigabytes": gigabytes, **told["timings"]}

    setup_cache.timeout = 3600
