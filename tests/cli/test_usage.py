"""What the command line accepts, and what it says about itself."""

import subprocess
import sys

import pytest
from cli.small import tree

import gpu_var
from gpu_var import cli
from gpu_var.batch import host
from gpu_var.cli import main
from gpu_var.report import commands

COMMANDS = ["run", "validate", "price", "demo"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(capsys, command):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: gpu-var {command}" in text
    assert "--quiet" in text
    assert "--debug" in text
    assert ("--config" in text) == (command != "demo")


def test_help_lists_the_commands_there_are(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.split("Commands:")[1].splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    methods = ["report", "explain", "what-if", "compare", "procyclicality", "stress", "preset"]
    assert names == [*COMMANDS[:-1], *methods, COMMANDS[-1], "bench"]


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpu-var {gpu_var.__version__}\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["rnu"], "No such command 'rnu'"),
        (["run"], "Missing argument"),
        (["run", "BOOK", "--ot", "x"], "--ot"),
        (["run", "BOOK", "--backend", "tpu"], "'tpu'"),
        (["run", "BOOK", "--precision", "float16"], "'float16'"),
        (["run", "BOOK", "--threads", "many"], "Invalid value for '--threads'"),
        (["run", "BOOK", "--threads", "0"], "--threads 0; expected at least 1"),
        (["run", "BOOK", "--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
        (["run", "BOOK", "--precision", "float32"], "--precision float32 is a mode of the CUDA kernels"),
        (["run", "BOOK", "--backend", "cpu", "--precision", "float32"], "the cpu backend computes in float64"),
        (["price", "BOOK", "--out", "prices.xlsx"], "ends in '.xlsx'; expected one of .csv, .parquet, .arrow"),
        (["price", "BOOK", "--out", "prices"], "has no suffix; expected one of"),
    ],
)
def test_wrong_usage_is_told_and_changes_nothing(book, tmp_path, capsys, line, says):
    before = tree(tmp_path)
    assert main([str(book) if word == "BOOK" else word for word in line]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert not said.out
    assert tree(tmp_path) == before


def test_no_gpu_backend(book, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(host, "unavailable", lambda: "no CUDA driver; install one")
    assert main(["run", str(book), "--backend", "cuda"]) == 1
    assert "error: --backend cuda: no CUDA driver; install one; or run with --backend cpu" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_bad_input_comes_before_a_missing_gpu(book, capsys):
    (book / "vols.csv").write_text("")
    assert main(["run", str(book), "--backend", "cuda"]) == 2
    assert "error: vols.csv" in capsys.readouterr().err


def test_a_fault_is_one_line_and_a_traceback_only_with_debug(monkeypatch, capsys, book):
    def broken(*_args, **_more):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(commands, "load", broken)
    assert main(["validate", str(book)]) == 1
    assert capsys.readouterr().err == "error: unexpected ZeroDivisionError: by zero; --debug shows where\n"
    assert main(["validate", str(book), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError("4 GiB"), "error: not enough memory: 4 GiB"),
        (PermissionError(13, "Permission denied", "f.csv"), "f.csv"),
    ],
)
def test_what_the_system_refuses(monkeypatch, capsys, book, error, says):
    def refuse(*_args, **_more):
        raise error

    monkeypatch.setattr(commands, "load", refuse)
    assert main(["validate", str(book)]) == 1
    assert says in capsys.readouterr().err


def test_start_up_imports_nothing_heavy():
    code = (
        "import sys, gpu_var\nfrom gpu_var.cli import main\nassert main(['run', '--help']) == 0\n"
        "print([m for m in ('numpy', 'scipy', 'pyarrow', 'plotly', 'cupy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_as_a_module(book):
    done = subprocess.run(
        [sys.executable, "-m", "gpu_var", "validate", str(book)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{book} is valid: 6 accounts, 15 positions, 3 instruments, 1 underlyings, 2 factors")


def test_validate_writes_nothing_and_obeys_quiet(book, tmp_path, capsys):
    before = tree(tmp_path)
    assert main(["validate", str(book), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert tree(tmp_path) == before


def test_a_reader_that_goes_away_is_no_fault(book):
    line = f"{sys.executable} -m gpu_var price {book} | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_every_error_has_an_exit_code():
    class Stop(BaseException):
        pass

    with pytest.raises(Stop):
        cli._outcome(Stop())
    assert cli._outcome(KeyboardInterrupt()) == (130, "stopped by SIGINT")
