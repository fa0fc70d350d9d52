"""The output folder of a stress test: its files come to stand there together, or the folder is as it was."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.folder import MARGIN, RUN, OutputFolder
from gpu_var.batch.lock import locked, refuse_if_in_use

FACTS = "stress.json"
OUTPUTS = (
    "losses.parquet",
    "members.parquet",
    "cover.parquet",
    "waterfall.parquet",
    "fund.parquet",
    "concentration.parquet",
    "scenarios.parquet",
    "close_out.parquet",
    "reverse.parquet",
    "reverse_map.parquet",
    "stress.html",
    FACTS,
)
"""In the order in which they are renamed into place."""

_WORK, _LOCK, _MARK = ".gpu-var", "lock", "stress"


def refuse_early(out: Path, overwrite: bool) -> None:
    """Raise what can be told before the book is read: `out` is no folder, is in use, or holds something already.

    Files that no stress test wrote are never replaced, for a book may have a table of the same name.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder")
    refuse_if_in_use(out, out / _WORK / _LOCK)
    _refuse_if_held(out, overwrite)


@contextlib.contextmanager
def output_folder(out: Path, overwrite: bool) -> Iterator[OutputFolder]:
    """Lock `out`, making it if need be. What is written aside goes again unless it is published.

    Raises:
        UsageError: `out` is no folder, or holds something that may not be replaced.
        InUseError: another process writes to it.
        WriteError: it cannot be written.
    """
    refuse_early(out, overwrite)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    work = out / _WORK
    try:
        with _making(work):
            work.mkdir(parents=True, exist_ok=True)
        with locked(out, work / _LOCK):
            try:
                _refuse_if_held(out, overwrite)  # once more: another test may have ended here since
                with _making(work / _MARK):
                    (work / _MARK).touch()
                yield OutputFolder(out, _MARK, OUTPUTS)
            finally:
                _clear(work)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # something else has come to lie in it
                folder.rmdir()
        raise


def _refuse_if_held(out: Path, overwrite: bool) -> None:
    if any((out / name).exists() for name in (MARGIN, RUN, f"{_WORK}/plan.json")):
        raise UsageError(f"{out} holds a run of gpu-var run, and nothing in it was changed; choose another --out")
    there = [name for name in OUTPUTS if (out / name).exists()]
    if there and FACTS not in there and not (out / _WORK / _MARK).exists():
        raise UsageError(f"{out} has a {there[0]} and no {FACTS}: no stress test wrote it; choose another --out")
    if there and not overwrite:
        raise UsageError(
            f"{out} already holds a stress test, and nothing in it was changed; give --overwrite to replace it, or "
            "another --out"
        )


def _clear(work: Path) -> None:
    """Remove the work files, the mark last: without it, outputs of a test that was killed are taken for another's."""
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(work.iterdir(), key=lambda file: (file.name == _LOCK, file.name == _MARK)):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the next test may have put its lock there already
        work.rmdir()


@contextlib.contextmanager
def _making(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from error
