"""Disks that are too small, and folders that may not be written."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from faults.harness import Runs, check_unwritable
from faults.processes import assert_nobody_lives
from faults.state import facts, stage, tables

_NAMESPACE = ("unshare", "--map-root-user", "--mount")
"""A mount name space of its own: the disk is gone with its last process, and nobody else sees it."""

_STEPS = """
mount -t tmpfs -o size="$SIZE" none "$OUT" || exit 99
"$@" 2> "$KEPT/said"; echo $? > "$KEPT/code"
cp -a "$OUT" "$KEPT/after"
mount -o remount,size=256m "$OUT" || exit 99
"$@" --resume
code=$?
cp -a "$OUT" "$KEPT/resumed"
exit $code
"""

_BOUNDED = Path(__file__).with_name("bounded.py")


def bounded(size: int = 1 << 40) -> tuple[str, ...]:
    """Before a command: no file may grow beyond `size` bytes, and root minds permissions as a user does."""
    return (sys.executable, str(_BOUNDED), str(size))


def cannot_mount(folder: Path) -> str:
    """Why no disk can be mounted; empty where one can."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    command = [*_NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def fill(runs: Runs, out: Path, size: int) -> str:
    """A run on a disk of `size` bytes, then, on the same disk made larger, what resumes it. Returns the stage of the
    first one's end.
    """
    size = max(size, 4096)  # of a page
    out.mkdir()
    kept = out.with_name(f"{out.name}-kept")
    kept.mkdir()
    env = {"OUT": str(out), "KEPT": str(kept), "SIZE": str(size)}
    running = runs.start(out, env=env, within=(*_NAMESPACE, "sh", "-c", _STEPS, "sh"))
    ended = running.end()
    assert ended.returncode == runs.code, ended.said
    said = (kept / "said").read_text()
    check_unwritable(int((kept / "code").read_text()), said, out)
    assert "No space left on device" in said
    after, resumed = kept / "after", kept / "resumed"
    assert not (after / "margin.parquet").exists()
    assert tables(resumed) == runs.expected
    assert facts(resumed)["notes"] == runs.notes
    assert sorted(path.name for path in resumed.iterdir()) == sorted([*runs.expected, "run.json", "report.html"])
    assert_nobody_lives(running)
    return stage(after)


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Within it nothing may be made, renamed or removed in these folders by a command that is `bounded`."""
    modes = {folder: folder.stat().st_mode for folder in folders}
    try:
        for folder in folders:
            folder.chmod(0o555)
        yield
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
