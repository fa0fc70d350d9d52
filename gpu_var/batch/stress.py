"""A stress test of a book: from its file of scenarios to the tables, and the files that they are written to."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet as pq
from pydantic import ValidationError

from gpu_var import __version__
from gpu_var.backend import Name
from gpu_var.batch import stress_folder
from gpu_var.batch.errors import RunError
from gpu_var.batch.fingerprint import hashes, sha256
from gpu_var.batch.finished import facts_of, output_of
from gpu_var.batch.folder import MARGIN, OutputFolder, refuse_in_book
from gpu_var.batch.host import device, resolve_backend, thread_count, versions
from gpu_var.batch.outputs import write_json, write_parquet
from gpu_var.batch.run import plain
from gpu_var.engine import Progress, nothing
from gpu_var.market.checks import check
from gpu_var.market.factors import Factors
from gpu_var.scenarios.language import StressScenarios, stress_scenarios
from gpu_var.stress.checks import check_rules
from gpu_var.stress.margins import Margins, margins_of
from gpu_var.stress.stress_test import StressTest
from gpu_var.stress.stress_test import stress_test as tested
from gpu_var.stress.tables import LOSSES
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_stress_test import StressFile
from gpu_var.tables.config_text import key_path, say
from gpu_var.tables.files import SCENARIOS
from gpu_var.tables.findings import Findings
from gpu_var.tables.sources import digests, in_folder
from gpu_var.tables.stress_file import load_stress_file

BREAKDOWN = "breakdown.parquet"
_NEEDED = ("config", "outputs")

Page = Callable[["StressRun"], str]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a stress test is asked for: its file of scenarios, read, and the SHA-256 of it."""

    file: StressFile
    name: str  # for findings
    inputs: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that a stress test needs, found sound."""

    asked: Asked
    scenarios: StressScenarios
    margin: Margins | None
    inputs: Mapping[str, str]  # SHA-256 by name, of the file of scenarios and of the run whose margins are taken


@dataclass(frozen=True, eq=False)
class StressRun:
    """The result of a stress test, base currency, losses positive."""

    test: StressTest
    config: Config
    book: Path
    backend: Name
    precision: str
    threads: int
    inputs: Mapping[str, str]  # SHA-256 by name
    notes: list[str]
    started: datetime
    timings: Mapping[str, float]  # seconds by stage

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """members, cover, waterfall, concentration, scenarios and, where they are asked for, fund, close_out, reverse
        and reverse_map, as the files of these names; `losses` has the largest.
        """
        return self.test.tables

    def losses(self) -> Iterator[pa.Table]:
        """`losses.parquet` piece by piece: a row an account and scenario."""
        return self.test.losses()

    def facts(self) -> dict[str, Any]:
        """What `stress.json` says but for the outputs."""
        monte_carlo = self.config.monte_carlo
        return {
            "version": __version__,
            "versions": versions(),
            "backend": self.backend,
            "device": device(self.backend),
            "precision": self.precision,
            "threads": self.threads,
            "seeds": {} if monte_carlo is None else {"monte_carlo": monte_carlo.seed},
            "book": str(self.book),
            "inputs": dict(self.inputs),
            "config": plain(self.config),
            "rules": self.test.file.as_dict(),
            "counts": self._counts(),
            "notes": self.notes,
            **self._found(),
            "timings": dict(self.timings),
            "host": platform.node(),
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def write(self, out_dir: str | Path, overwrite: bool = False, page: Page | None = None) -> list[Path]:
        """Write the outputs to the folder `out_dir`, all of them or none, and return their paths.

        `page` makes `stress.html` of the test. Raises `UsageError` where `out_dir` holds a stress test and `overwrite`
        is not given, or anything else of the same names; `WriteError` where it cannot be written.
        """
        out = Path(out_dir)
        refuse_in_book(out, self.book, "out_dir")
        with stress_folder.output_folder(out, overwrite) as folder:
            return self.write_into(folder, page)

    def write_into(self, folder: OutputFolder, page: Page | None) -> list[Path]:
        """As `write`, into a folder that is locked already."""
        begun = time.perf_counter()
        files: dict[str, Callable[[BinaryIO], object]] = {"losses.parquet": self._write_losses}
        files |= {f"{name}.parquet": partial(write_parquet, table) for name, table in self.tables.items()}
        if page is not None:
            text = page(self).encode()
            files["stress.html"] = lambda stream: stream.write(text)
        for name, write in files.items():
            folder.write(name, write)
        facts = self.facts() | {"outputs": {name: sha256(folder.written(name)) for name in sorted(files)}}
        facts["timings"] |= {"writing": time.perf_counter() - begun}
        folder.write(stress_folder.FACTS, partial(write_json, facts))
        return folder.publish()

    def _write_losses(self, stream: BinaryIO) -> None:
        with pq.ParquetWriter(stream, LOSSES, version="2.6", compression="zstd") as writer:
            for piece in self.losses():
                writer.write_table(piece, row_group_size=1 << 20)

    def _found(self) -> dict[str, Any]:
        """Of close-out and reverse stress, all underlyings and factors together."""
        test = self.test
        told = {"close_out": test.close_out, "reverse": test.reverse, "reverse_map": test.reverse_map}
        return {name: one.summary() for name, one in told.items() if one is not None}

    def _counts(self) -> dict[str, int]:
        house, shock = self.test.house, self.test.scenarios.set.shock
        return {
            "scenarios": shock.shape[0],
            "factors": shock.shape[1],
            "accounts": len(house.member_of),
            "accounts_failed": len(self.test.failed),
            "members": len(house.name),
            "groups": len(house.group_name),
        }


def stress_test(
    book: Book,
    config: Config,
    scenarios: str | Path | Mapping[str, Any] | StressFile | None = None,
    *,
    margin: str | Path | None = None,
    backend: str = "auto",
    precision: str = "float64",
    threads: int | None = None,
) -> StressRun:
    """Stress-test a clearing house's book.

    Args:
        scenarios: a file of scenarios, or what would stand in it; unless given `scenarios.toml` of the book's folder
            or, without one, the whole library that ships.
        margin: the folder of a finished run over the same book, whose margins are taken; computed unless given.
        backend, precision, threads: as for `run`.

    Raises:
        InputError: with every finding, where book, configuration and scenarios do not fit.
        UsageError: an unknown backend or precision; `margin` holds no finished run.
        RunError: the backend is not there.
    """
    started = datetime.now(UTC)
    findings = Findings()
    asked = ask(book.path, scenarios, findings)
    factors = check(book, config, findings)
    ready = None if factors is None else prepare(book, config, factors, asked, margin, findings)
    findings.raise_if_any()
    assert factors is not None
    assert ready is not None
    resolved = resolve_backend(backend, precision)
    inputs = hashes(book.path, in_folder(book), None) | digests(book)
    return compute(
        book,
        config,
        factors,
        ready,
        [*book.notes, *findings.notes],
        inputs,
        backend=resolved,
        precision=precision,
        threads=threads,
        started=started,
    )


def ask(book: Path, scenarios: str | Path | Mapping[str, Any] | StressFile | None, findings: Findings) -> Asked | None:
    """Read what a test is asked for; None, with findings, where something is wrong with it.

    Raises:
        RunError: the file has changed while it was being read.
    """
    if isinstance(scenarios, StressFile):
        return Asked(scenarios, SCENARIOS, {})
    if isinstance(scenarios, Mapping):
        try:
            return Asked(StressFile.model_validate(dict(scenarios)), SCENARIOS, {})
        except ValidationError as error:
            for one in error.errors():
                say(one, key_path(one["loc"]), StressFile, SCENARIOS, findings)
            return None
    path = book / SCENARIOS if scenarios is None else Path(scenarios)
    if scenarios is None and not path.exists():
        note = f"the book has no {SCENARIOS}: all scenarios that ship, and no [resources] to hold against them"
        return Asked(StressFile(), SCENARIOS, {}, (note,))
    before = sha256(path) if path.is_file() else ""
    file = load_stress_file(path, findings)
    if file is None:
        return None
    if sha256(path) != before:
        raise RunError(f"{path} changed while it was being read; run again when it is whole")
    return Asked(file, path.name, {SCENARIOS: before})


def prepare(
    book: Book, config: Config, factors: Factors, asked: Asked | None, margin: str | Path | None, findings: Findings
) -> Prepared | None:
    """Make the scenarios, check the rules, and read the margins; what is wrong goes into `findings`.

    Raises:
        UsageError: `margin` holds no finished run.
    """
    taken, inputs = None, dict[str, str]()
    if margin is not None:
        taken, inputs = _margins(Path(margin), book, config, findings)
    if asked is None:
        return None
    made = stress_scenarios(asked.file, book, config, factors, findings, name=asked.name)
    check_rules(book, asked.file, findings, asked.name, factors=factors, scenarios=made.set.name)
    return Prepared(asked, made, taken, {**asked.inputs, **inputs})


def _margins(out: Path, book: Book, config: Config, findings: Findings) -> tuple[Margins | None, dict[str, str]]:
    facts = facts_of(out, _NEEDED)
    margin, breakdown = (output_of(out, name, facts["outputs"]) for name in (MARGIN, BREAKDOWN))
    taken, wrong = margins_of(margin, breakdown, facts, book, config, str(out))
    findings.include(wrong)
    return taken, {f"{MARGIN} of --margin": facts["outputs"][MARGIN]}


def compute(
    book: Book,
    config: Config,
    factors: Factors,
    ready: Prepared,
    notes: list[str],
    inputs: Mapping[str, str],
    *,
    backend: Name,
    precision: str,
    threads: int | None,
    started: datetime,
    progress: Progress = nothing,
    timings: Mapping[str, float] | None = None,
) -> StressRun:
    """Stress-test a checked book; `inputs` are the SHA-256 of its files, `timings` the seconds since `started`."""
    count = thread_count(threads)
    test = tested(
        book,
        config,
        factors,
        ready.asked.file,
        ready.scenarios,
        margin=ready.margin,
        backend=backend,
        precision=precision,
        threads=count,
        progress=progress,
    )
    return StressRun(
        test=test,
        config=config,
        book=book.path,
        backend=backend,
        precision=precision,
        threads=count,
        inputs={**inputs, **ready.inputs},
        notes=list(dict.fromkeys([*notes, *ready.asked.notes, *test.notes])),
        started=started,
        timings=dict(timings or {}) | test.timings,
    )
