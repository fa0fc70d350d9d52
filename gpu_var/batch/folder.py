"""The output folder of a run: who may write into it, and how a file comes to stand there whole or not at all."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from gpu_var.batch.errors import UsageError, WriteError
from gpu_var.batch.fingerprint import plan_of, refuse_if_different, sha256
from gpu_var.batch.lock import locked, refuse_if_in_use
from gpu_var.batch.store import FolderStore

Mode = Literal["new", "resume", "overwrite"]
MARGIN = "margin.parquet"
RUN = "run.json"
OUTPUTS = (
    "breakdown.parquet",
    "scan.parquet",
    "diagnostics.parquet",
    "pnl_fhs.arrow",
    "pnl_monte_carlo.arrow",
    "pnl_scan.arrow",
    "pnl_stress.arrow",
    "report.html",
    RUN,
    MARGIN,
)
"""In the order in which they are renamed into place."""

_WORK = ".gpu-var"
_LOCK = "lock"
_PLAN = "plan.json"
_SHARDS = "shards"


def default_out(book: Path) -> Path:
    """`BOOK-margin` beside the book."""
    absolute = Path(os.path.abspath(book))  # noqa: PTH100 - a link's own name counts, not its target's
    if not absolute.name:
        raise UsageError(f"{book} has no name to call the output after; give --out")
    return absolute.with_name(f"{absolute.name}-margin")


def refuse_in_book(out: Path, book: Path, option: str = "--out") -> None:
    """Raise `UsageError` where `out` is the book or lies in it: a book is never written to."""
    if out.resolve().is_relative_to(book.resolve()):
        raise UsageError(
            f"{option} {out} is the book itself or lies in it, and a book is never written to; choose another"
        )


def refuse_early(out: Path, mode: Mode) -> None:
    """Raise what can be told before the book is read: `out` is no folder, is in use, or holds a run."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder")
    refuse_if_in_use(out, out / _WORK / _LOCK)
    _refuse_if_held(out, mode)


def nothing_to_do(out: Path, mode: Mode, plan: Mapping[str, Any]) -> bool:
    """Whether `out` holds this very run, whole, and it is to be resumed. Raises `UsageError` where it may not be."""
    refuse_early(out, mode)
    return _changed(out, mode, plan) == []


def _changed(out: Path, mode: Mode, plan: Mapping[str, Any]) -> list[str] | None:
    """The outputs of this very run, which has ended and is to be resumed, that are not what it wrote.

    None where there is no such run. Raises `UsageError` where it may not be resumed.
    """
    if mode != "resume" or not _holds_run(out):
        return None
    pending = out / _WORK / _PLAN
    if pending.exists():
        refuse_if_different(out, _read_plan(out, pending), plan)
        return None
    ended = _read_plan(out, out / RUN)
    refuse_if_different(out, plan_of(ended), plan)
    outputs = {MARGIN: "", **ended.get("outputs", {})}
    return [name for name, digest in outputs.items() if not (out / name).exists() or sha256(out / name) != digest]


@contextlib.contextmanager
def output_folder(out: Path, mode: Mode, plan: Mapping[str, Any]) -> Iterator["OutputFolder | None"]:
    """Lock `out`, making it if need be, for the run `plan`; None where it holds that run already, whole.

    An error or interruption inside leaves `plan` behind, which `--resume` takes up. Raises `UsageError` where `out`
    holds another run, `InUseError` where another process writes to it, `WriteError` where it cannot be written.
    """
    if nothing_to_do(out, mode, plan) and not (out / _WORK).exists():
        yield None
        return
    work = out / _WORK
    with _writing(work):
        work.mkdir(parents=True, exist_ok=True)
    with locked(out, work / _LOCK):
        try:  # once more: another run may have ended here since
            _refuse_if_held(out, mode)
            changed = _changed(out, mode, plan)
        except UsageError:
            if not (work / _PLAN).exists():
                _clear(work)
            raise
        if changed == []:
            _clear(work)
            yield None
            return
        with _writing(work):
            _clear(work, keep=(_LOCK, _PLAN, _SHARDS) if mode == "resume" else (_LOCK, _PLAN))
        folder = OutputFolder(out, hashlib.sha256(_json(plan)).hexdigest(), changed=tuple(changed or ()))
        folder.write(_PLAN, lambda stream: stream.write(_json(plan)))
        yield folder
        _clear(work)


class OutputFolder:
    """A locked output folder. Files are written aside, whole, and then renamed into place together.

    `store` keeps the results of shards; `token` is that of the run whose they are. `outputs` are the names of all that
    may be published, in that order; `changed` those of this run, once ended, that were no longer what it had written.
    """

    def __init__(
        self, path: Path, token: str, outputs: tuple[str, ...] = OUTPUTS, changed: tuple[str, ...] = ()
    ) -> None:
        self.path, self.outputs, self.changed = path, outputs, changed
        self.store = FolderStore(path / _WORK / _SHARDS, token)

    def write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Write the file `name` aside and flush it to the disk. Raises `WriteError`, naming it."""
        target = self.path / _WORK / name
        with _writing(self.path / name if name in self.outputs else target):
            partial = target.with_name(f"{name}.part")
            with partial.open("wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)

    def written(self, name: str) -> Path:
        """Where the file lies until it is published."""
        return self.path / _WORK / name

    def publish(self) -> list[Path]:
        """Rename every written output into place, the last of `outputs` last; those of an earlier run go."""
        published = []
        for name in self.outputs:
            target = self.path / name
            with _writing(target):
                if self.written(name).exists():
                    self.written(name).replace(target)
                    published.append(target)
                else:
                    target.unlink(missing_ok=True)
        with _writing(self.path):
            _sync_folder(self.path)
        return published


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write one file beside `path` and rename it into place when whole. Raises `WriteError`, naming it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _writing(path):
        try:
            with partial.open("wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _refuse_if_held(out: Path, mode: Mode) -> None:
    if mode == "new" and _holds_run(out):
        raise UsageError(
            f"{out} already holds a run, and nothing in it was changed; give --resume to finish it, "
            "--overwrite to replace it, or another --out"
        )


def _holds_run(out: Path) -> bool:
    return (out / _WORK / _PLAN).exists() or any((out / name).exists() for name in OUTPUTS)


def _read_plan(out: Path, path: Path) -> dict[str, Any]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{out} cannot be resumed: {path} is missing or broken ({error}); give --overwrite, or another --out"
        ) from error
    if not isinstance(plan, dict):
        raise UsageError(f"{out} cannot be resumed: {path} is not that of a run; give --overwrite, or another --out")
    return plan


def _clear(work: Path, keep: tuple[str, ...] = ()) -> None:
    """Remove the work files, the plan last: it is what tells an interrupted run from a whole one."""
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(work.iterdir(), key=lambda file: (file.name == _LOCK, file.name == _PLAN)):
            if file.name in keep:
                continue
            if file.name == _SHARDS:
                shutil.rmtree(file)
            else:
                file.unlink(missing_ok=True)
    if not keep:
        with contextlib.suppress(OSError):  # the next run may have put its lock there already
            work.rmdir()


def _json(tree: Mapping[str, Any]) -> bytes:
    return (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode()


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from error
