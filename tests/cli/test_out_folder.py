"""Where a run may write, and what becomes of what stands there."""

import json
import os
import resource
import subprocess
import sys

import pytest
from cli.small import replace, tree

from gpu_var.batch import run as batch
from gpu_var.batch.folder import output_folder
from gpu_var.cli import main
from gpu_var.report import commands, page

INTERRUPTED = {
    "margin.toml": ("paths = 400", "paths = 300", "parameter monte_carlo.paths: 400 then, 300 now"),
    "vols.csv": ("0.24", "0.25", "input vols.csv: its content has changed"),
}


@pytest.fixture
def out(book):
    return book.with_name("book-margin")


def run(book, *more):
    return main(["run", str(book), "--quiet", *more])


@pytest.mark.parametrize("place", ["book", "book/margins", "link", "link/margins", "other/../book"])
def test_the_book_is_never_written_to(book, tmp_path, capsys, place):
    (tmp_path / "link").symlink_to(book)
    before = tree(book)
    assert run(book, "--out", str(tmp_path / place)) == 2
    assert "a book is never written to" in capsys.readouterr().err
    assert tree(book) == before


def test_beside_a_book_that_is_here(book, out, monkeypatch):
    monkeypatch.chdir(book)
    assert run(".") == 0
    assert (out / "margin.parquet").exists()


def test_a_run_is_not_overwritten_unasked(book, out, capsys):
    assert run(book) == 0
    before = tree(out)
    assert run(book) == 2
    said = capsys.readouterr().err
    assert "--resume" in said
    assert "--overwrite" in said
    assert tree(out) == before


def test_bad_input_leaves_no_folder_and_no_change(book, out, capsys):
    replace(book / "vols.csv", "0.24", "-0.24")
    assert run(book) == 2
    assert not out.exists()
    replace(book / "vols.csv", "-0.24", "0.24")
    assert run(book) == 0
    before = tree(out)
    replace(book / "vols.csv", "0.24", "-0.24")
    assert run(book, "--overwrite") == 2
    assert tree(out) == before
    assert "nothing was written" in capsys.readouterr().err


def test_overwrite_replaces_all_of_it(book, out):
    assert run(book, "--pnl") == 0
    (out / "mine.txt").write_text("stays")
    replace(book / "margin.toml", "seed = 7", "seed = 8")
    assert run(book, "--overwrite") == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "breakdown.parquet", "margin.parquet", "mine.txt", "report.html", "run.json",
    ]  # fmt: skip
    assert json.loads((out / "run.json").read_text())["seeds"] == {"monte_carlo": 8}


def test_overwrite_keeps_the_old_until_the_new_is_whole(book, out, monkeypatch):
    assert run(book) == 0
    before = tree(out)

    def broken(_run):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(page, "render", broken)
        assert run(book, "--overwrite") == 1
    after = tree(out)
    assert {name: after[name] for name in before} == before
    assert run(book) == 2
    assert run(book, "--resume") == 0
    assert sorted(tree(out)) == sorted(before)


def test_resume_on_nothing_starts(book, out):
    assert run(book, "--resume") == 0
    assert (out / "margin.parquet").exists()


def test_resume_of_a_whole_run_does_nothing(book, out, capsys):
    assert run(book) == 0
    before = tree(out)
    assert main(["run", str(book), "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert tree(out) == before


def test_resume_brings_back_a_file_that_was_removed(book, out):
    assert run(book) == 0
    before = tree(out)
    (out / "breakdown.parquet").unlink()
    assert run(book, "--resume") == 0
    assert (out / "breakdown.parquet").read_bytes() == before["breakdown.parquet"]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "interrupted"])
@pytest.mark.parametrize("file", INTERRUPTED)
def test_resume_refuses_what_has_changed(book, out, capsys, monkeypatch, file, whole):
    if whole:
        assert run(book) == 0
    else:
        interrupt(book, monkeypatch)
    before = tree(out)
    old, new, says = INTERRUPTED[file]
    replace(book / file, old, new)
    capsys.readouterr()
    assert run(book, "--resume") == 2
    said = capsys.readouterr().err
    assert says in said
    assert "--overwrite" in said
    assert tree(out) == before


def test_resume_names_a_changed_option_version_and_table(book, out, capsys):
    assert run(book, "--pnl") == 0
    facts = json.loads((out / "run.json").read_text())
    facts["version"] = "0.0.1"
    (out / "run.json").write_text(json.dumps(facts))
    (book / "collateral.csv").write_text("account,asset,quantity\nplain,USD,5\n")
    (book / "accounts.csv").unlink()
    assert run(book, "--resume") == 2
    said = capsys.readouterr().err
    assert "version of gpu-var: 0.0.1 then" in said
    assert "--pnl: True then, False now" in said
    assert "input collateral.csv: new" in said
    assert "input accounts.csv: gone" in said


@pytest.mark.parametrize("text", ["{", "[]", None])
def test_resume_without_a_sound_run_json(book, out, capsys, text):
    assert run(book) == 0
    (out / "run.json").write_text(text) if text else (out / "run.json").unlink()
    assert run(book, "--resume") == 2
    assert "cannot be resumed" in capsys.readouterr().err


def interrupt(book, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "requirement", stop)
        assert run(book) == 130


def test_an_interrupted_run_resumes_to_the_same_bytes(book, out, tmp_path, monkeypatch, capsys):
    interrupt(book, monkeypatch)
    assert "--resume finishes it" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == [".gpu-var"]
    assert run(book) == 2
    assert run(book, "--resume") == 0
    assert run(book, "--out", str(tmp_path / "straight")) == 0
    resumed, straight = tree(out), tree(tmp_path / "straight")
    resumed.pop("run.json"), straight.pop("run.json")
    assert resumed == straight


def test_one_run_at_a_time(book, out, capsys):
    with output_folder(out, "new", {"held": "here"}):
        before = tree(out)
        for more in ([], ["--resume"], ["--overwrite"]):
            done = subprocess.run(
                [sys.executable, "-m", "gpu_var", "run", str(book), *more], capture_output=True, text=True, check=False
            )
            assert done.returncode == 1
            assert f"{out} is in use by another run (process {os.getpid()})" in done.stderr
        assert tree(out) == before


def test_the_lock_of_a_dead_process_does_not_matter(book, out):
    code = (
        "import os, sys, pathlib\nfrom gpu_var.batch.folder import output_folder\n"
        f"with output_folder(pathlib.Path({str(out)!r}), 'new', {{}}):\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (out / ".gpu-var" / "lock").exists()
    assert run(book, "--overwrite") == 0
    assert not (out / ".gpu-var").exists()


def test_a_full_disk_names_the_file(book, out):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))  # the page alone is larger

    done = subprocess.run(
        [sys.executable, "-m", "gpu_var", "run", str(book)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: cannot write {out / 'report.html'}: ")
    assert not (out / "margin.parquet").exists()
    assert run(book, "--resume") == 0


def test_a_place_that_cannot_be_written_is_named(book, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert run(book, "--out", str(tmp_path / "file" / "out")) == 1
    assert f"error: cannot write {tmp_path / 'file' / 'out'}" in capsys.readouterr().err
    assert run(book, "--out", str(tmp_path / "file")) == 2
    assert "is a file; give a folder" in capsys.readouterr().err


def test_an_input_that_changes_while_it_is_read(book, out, capsys, monkeypatch):
    real = commands.load

    def load(folder, config, **how):
        loaded = real(folder, config, **how)
        replace(book / "vols.csv", "0.24", "0.245")
        return loaded

    monkeypatch.setattr(commands, "load", load)
    assert run(book) == 1
    assert "vols.csv changed while it was being read" in capsys.readouterr().err
    assert not out.exists()
