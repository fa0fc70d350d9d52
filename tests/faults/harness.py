"""A book, its undisturbed run, and whether a run that a fault has struck is made whole by `--resume`."""

import importlib.util
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from faults.processes import Ended, Running, assert_nobody_lives, python, start, wait
from faults.state import WORK, facts, shards, stage, tables
from pyarrow import parquet as pq

ROOT = Path(__file__).resolve().parents[2]
MOMENTS = Path(__file__).with_name("moments.py")

CONFIG = """
[scan]
price_range = 0.15
vol_range = 0.3
[[stress.scenario]]
name = "crash"
shocks = {{ "spot:*" = -0.3 }}
[batch]
shard_revaluations = {shard}
chunk_megabytes = 1
"""


def write_book(folder: Path, instruments: int = 300, accounts: int = 200, shard: int = 1) -> Path:
    """A house of ten stocks whose run has many shards, and an account that fails."""
    spec = importlib.util.spec_from_file_location("gpu_var_books", ROOT / "bench" / "books.py")
    assert spec is not None
    assert spec.loader is not None
    books = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(books)
    books.write_house(
        folder, instruments=instruments, accounts=accounts, positions=5 * instruments, american=0.05, underlyings=10
    )
    terms = {"instrument": "huge", "kind": "spot", "underlying": "U0003", "multiplier": 1e300}
    _append(folder / "instruments.parquet", terms)
    _append(folder / "positions.parquet", {"account": "too much", "instrument": "huge", "quantity": 1e15})
    with books.write_config(folder, fhs=200, paths=500).open("a") as stream:
        stream.write(CONFIG.format(shard=shard))
    return folder


def _append(file: Path, row: Mapping[str, object]) -> None:
    table = pq.read_table(file)
    more = pa.table({name: [row.get(name)] for name in table.column_names}, schema=table.schema)
    pq.write_table(pa.concat_tables([table, more]), file)


@dataclass
class Runs:
    """A book, how it is run, and what an undisturbed run of it writes."""

    book: Path
    scratch: Path
    options: tuple[str, ...]
    expected: dict[str, bytes] = field(default_factory=dict, repr=False)
    code: int = 0
    notes: list[str] = field(default_factory=list)
    moments: list[str] = field(default_factory=list, repr=False)
    seconds: float = 0.0

    @property
    def reference(self) -> Path:
        """The output folder of the undisturbed run."""
        return self.scratch / "reference"

    @classmethod
    def prepare(cls, book: Path, scratch: Path, *options: str) -> "Runs":
        """Run the book undisturbed, and list the moments at which the run changes its folder."""
        runs = cls(book, scratch, ("--pnl", "--quiet", *options))
        out = runs.reference
        done = runs.at_moment(out, "list", "").end()
        assert done.returncode in (0, 3), done.said
        runs.expected, runs.code, runs.notes = tables(out), done.returncode, facts(out)["notes"]
        runs.moments, runs.seconds = list(dict.fromkeys(done.printed.splitlines())), done.seconds
        assert "margin.parquet" in runs.expected
        assert not (out / WORK).exists()
        return runs

    def with_seed(self, seed: int, scratch: Path) -> "Runs":
        """The same book, run with another configuration."""
        text = (self.book / "margin.toml").read_text()
        assert "[monte_carlo]\n" in text
        other = scratch / "other.toml"
        other.write_text(text.replace("[monte_carlo]\n", f"[monte_carlo]\nseed = {seed}\n"))
        return Runs.prepare(self.book, scratch, "--config", str(other))

    def start(self, out: Path, *more: str, env: Mapping[str, str] | None = None, within: Sequence[str] = ()) -> Running:
        """`gpu-var run BOOK --out OUT` as a command, or as the arguments of the command `within`."""
        return start([*within, *python("-m", "gpu_var"), *self._arguments(out, *more)], self.scratch, env)

    def at_moment(self, out: Path, action: str, moment: str, seconds: float = 0.0, *more: str) -> Running:
        """The same, with a fault at a moment, one of `moments`."""
        fault = python(str(MOMENTS), str(out), action, moment, str(seconds))
        return start([*fault, *self._arguments(out, *more)], self.scratch)

    def _arguments(self, out: Path, *more: str) -> list[str]:
        return ["run", str(self.book), "--out", str(out), *self.options, *more]

    def check_left(self, running: Running, out: Path) -> str:
        """After a fault: nothing of the run lives on, and what it published is right. Returns the `stage` it left."""
        assert_nobody_lives(running)
        for name, content in tables(out).items():
            assert content == self.expected[name], f"{name} stands in {out}, and is not that of an undisturbed run"
        if (out / "margin.parquet").exists():
            missing = [name for name in (*self.expected, "run.json", "report.html") if not (out / name).exists()]
            assert not missing, f"margin.parquet comes last, yet {missing} is not there"
        return stage(out)

    def resume(self, out: Path, *more: str) -> Ended:
        """Finish the run, and hold it against the undisturbed one."""
        whole = (out / "margin.parquet").exists() and not (out / WORK / "plan.json").exists()
        running = self.start(out, "--resume", *more)
        done = running.end()
        assert done.returncode == (0 if whole else self.code), done.said
        self.check_whole(running, out)
        return done

    def check_whole(self, running: Running, out: Path) -> None:
        """The outputs are those of the undisturbed run byte for byte, with its notes, and nothing else is left."""
        assert_nobody_lives(running)
        found = tables(out)
        assert sorted(found) == sorted(self.expected)
        different = [name for name, content in self.expected.items() if found[name] != content]
        assert not different, f"{different} of {out} differ from an undisturbed run"
        assert facts(out)["notes"] == self.notes
        assert sorted(path.name for path in out.iterdir()) == sorted([*self.expected, "run.json", "report.html"])
        assert not running.litter()

    def await_begun(self, running: Running, out: Path) -> None:
        """Wait until the run has begun: from here on it can be resumed."""
        wait(lambda: (out / WORK / "plan.json").exists() or not running.alive())

    def await_shards(self, running: Running, out: Path, count: int) -> None:
        """Wait until `count` shards are kept."""
        wait(lambda: len(shards(out)) >= count or not running.alive())


def check_stopped(code: int, said: str, number: signal.Signals) -> None:
    """The exit code of the contract, and what to do next."""
    assert code == 128 + number, said
    assert f"stopped by {number.name}" in said
    assert "--resume finishes it" in said
    assert "Traceback" not in said, said


def check_unwritable(code: int, said: str, *places: Path) -> None:
    """Exit code 1, naming a path in one of the places."""
    assert code == 1, said
    last = said.splitlines()[-1]
    assert last.startswith("error: ")
    assert any(str(place) in last for place in places), said
    assert "Traceback" not in said, said
