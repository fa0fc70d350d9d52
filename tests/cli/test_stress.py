"""`gpu-var stress`: what it writes, what it says, what it refuses."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from cli.small import replace, tree
from cli.stressed import SCENARIOS, write_house

import gpu_var as gv
from gpu_var.batch import stress_folder
from gpu_var.batch.errors import UsageError
from gpu_var.batch.fingerprint import sha256
from gpu_var.cli import main
from gpu_var.demo import write_demo
from gpu_var.report import stress

TABLES = {"losses", "members", "cover", "waterfall", "fund", "concentration", "scenarios"}


@pytest.fixture
def house(tmp_path):
    return write_house(tmp_path / "book")


@pytest.fixture
def out(house):
    return house.with_name("book-stress")


def run(book, *more):
    return main(["stress", str(book), "--quiet", *more])


def test_what_is_written(house, out):
    before = tree(house)
    assert run(house) == 0
    assert tree(house) == before
    assert {p.name for p in out.iterdir()} == {f"{name}.parquet" for name in TABLES} | {"stress.html", "stress.json"}
    facts = json.loads((out / "stress.json").read_text())
    assert facts["outputs"] == {p.name: sha256(p) for p in out.iterdir() if p.name != "stress.json"}
    assert facts["inputs"]["scenarios.toml"] == sha256(house / "scenarios.toml")
    assert facts["inputs"]["members.csv"] == sha256(house / "members.csv")
    assert facts["counts"] == {
        "scenarios": 45, "factors": 2, "accounts": 6, "accounts_failed": 0, "members": 3, "groups": 3,
    }  # fmt: skip
    assert facts["rules"]["resources"]["own"] == 1000.0
    losses = pq.read_table(out / "losses.parquet")
    assert losses.num_rows == 6 * 45
    cover = pq.read_table(out / "cover.parquet").to_pylist()
    assert cover[0]["scenario"] == "crash <b>"
    beyond = {row["member"]: row["shortfall"] for row in pq.read_table(out / "members.parquet").to_pylist()[::45]}
    assert cover[0]["cover_2"] == pytest.approx(sum(sorted(beyond.values())[-2:]))
    page = (out / "stress.html").read_text(encoding="utf-8")
    assert "crash &lt;b&gt;" in page
    assert "<b>" not in page


def test_the_same_bytes_on_any_number_of_threads(house, tmp_path):
    assert run(house, "--out", str(tmp_path / "one"), "--threads", "1") == 0
    assert run(house, "--out", str(tmp_path / "two"), "--threads", "2") == 0
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    assert one.pop("stress.json") != two.pop("stress.json")  # times
    assert one == two


def test_in_python(house, out):
    assert run(house) == 0
    made = gv.stress_test(gv.read_book(house), gv.Config.load(house / "margin.toml"))
    for name, table in made.tables.items():
        assert table.equals(pq.read_table(out / f"{name}.parquet").cast(table.schema)), name
    paths = made.write(house.with_name("again"), page=stress.page)
    assert [path.name for path in paths][-1] == "stress.json"
    assert (house.with_name("again") / "stress.html").read_text(encoding="utf-8").endswith("</html>")
    with pytest.raises(UsageError, match="already holds a stress test"):
        made.write(house.with_name("again"))
    with pytest.raises(UsageError, match="never written to"):
        made.write(house / "deep")
    named = gv.stress_test(
        gv.read_book(house), gv.Config.load(house / "margin.toml"), {"library": ["grid:spot-40:vol+100"]}
    )
    assert named.tables["cover"]["scenario"].to_pylist() == ["grid:spot-40:vol+100"]
    with pytest.raises(gv.InputError, match="libary"):
        gv.stress_test(gv.read_book(house), gv.Config.load(house / "margin.toml"), {"libary": []})


def test_margins_of_a_finished_run(house, out, tmp_path, capsys):
    assert main(["run", str(house), "--quiet"]) == 0
    margins = house.with_name("book-margin")
    assert run(house) == 0
    assert run(house, "--margin", str(margins), "--out", str(tmp_path / "taken")) == 0
    one, two = (pq.read_table(folder / "losses.parquet") for folder in (out, tmp_path / "taken"))
    assert one["margin"].to_pylist() == pytest.approx(two["margin"].to_pylist(), rel=1e-12)
    facts = json.loads((tmp_path / "taken" / "stress.json").read_text())
    assert facts["inputs"]["margin.parquet of --margin"] == sha256(margins / "margin.parquet")
    replace(house / "margin.toml", "2026-01-05", "2026-01-06")
    assert run(house, "--margin", str(margins), "--out", str(tmp_path / "other")) == 2
    assert "as_of" in capsys.readouterr().err
    assert run(house, "--margin", str(tmp_path), "--out", str(tmp_path / "other")) == 2
    assert "holds no finished run" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_without_scenarios_the_whole_library(tmp_path, capsys):
    house = write_house(tmp_path / "book", None)
    assert main(["stress", str(house)]) == 0
    said = capsys.readouterr()
    assert "note: the book has no scenarios.toml: all scenarios that ship" in said.err
    assert "No resources are given" in said.out
    facts = json.loads((tmp_path / "book-stress" / "stress.json").read_text())
    assert facts["counts"]["scenarios"] >= 44
    assert not (tmp_path / "book-stress" / "fund.parquet").exists()


def test_what_the_terminal_says(house, out, capsys):
    assert main(["stress", str(house)]) == 0
    said = capsys.readouterr()
    assert "The 10 worst of 45 scenarios, in USD" in said.out
    assert "crash <b>" in said.out
    verdict = [line for line in said.out.splitlines() if line.startswith("Cover 2 ")]
    assert len(verdict) == 1
    assert "\u2068" not in said.out
    assert f"outputs: {out}" in said.out
    cover = pq.read_table(out / "cover.parquet")
    assert f"{max(cover['cover_2'].to_pylist()):,.2f}" in said.out
    for name in ("margin", "own resources", "default fund", "uncovered"):
        assert name in said.out
    assert run(house, "--overwrite") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("library = [", "scenarios.toml line 1"),
        ('[resource]\nown = 1\n', "key resource: unknown table; the nearest known one is 'resources'"),
        ('[[scenario]]\nname = "a"\nshocks = { "spot:Y" = -0.3 }\n', "'spot:Y' of 'a' is no factor; the nearest is"),
        ('[[scenario]]\nname = "a"\nshocks = { "spot:*" = -1.0 }\n', "leaves nothing of spot:X"),
        ('library = ["historie:*"]\n', "'historie:*' is no scenario of the library; the nearest is 'history:"),
        ('[resources]\ncover = 11\n', "resources.cover"),
        ('[resources]\nown = -1.0\n', "an amount, 0 or more"),
        ('[resources]\nagainst = "collateral"\n', "needs the table collateral"),
        ('[resources]\ndefaulters = ["alpa"]\n', "the nearest is 'alpha'"),
        ('[close_out]\nmembers = ["alpa"]\n', "'alpa'"),
        ('[close_out]\nscenario = "crsh"\n', "'crsh'"),
        ('[reverse]\nmap = ["spot:Y", "iv:*"]\n', "'spot:Y'"),
    ],
)  # fmt: skip
def test_bad_scenarios_are_found_before_anything_is_written(house, out, capsys, text, says):
    (house / "scenarios.toml").write_text(text)
    before = tree(house.parent)
    assert run(house) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.splitlines()[-1].endswith("nothing was written")
    assert tree(house.parent) == before
    assert not out.exists()


def test_everything_wrong_is_told_at_once(house, capsys):
    replace(house / "vols.csv", "0.24", "-0.24")
    (house / "scenarios.toml").write_text("[resources]\nown = -1.0\n")
    assert run(house) == 2
    said = capsys.readouterr().err
    assert "vols.csv" in said
    assert "resources.own" in said
    assert said.splitlines()[-1] == "2 errors in 2 tables; nothing was written"


def test_a_file_of_scenarios_by_name(house, tmp_path, capsys):
    other = tmp_path / "mine.toml"
    other.write_text('library = []\n[[scenario]]\nname = "a"\nshocks = { "spot:X" = "-10%" }\n')
    assert run(house, "--scenarios", str(other)) == 0
    facts = json.loads((tmp_path / "book-stress" / "stress.json").read_text())
    assert facts["inputs"]["scenarios.toml"] == sha256(other)
    assert run(house, "--scenarios", str(tmp_path / "none.toml"), "--overwrite") == 2
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["book", "book/deep", "link/deep"])
def test_the_book_is_never_written_to(house, tmp_path, capsys, place):
    (tmp_path / "link").symlink_to(house)
    before = tree(house)
    assert run(house, "--out", str(tmp_path / place)) == 2
    assert "a book is never written to" in capsys.readouterr().err
    assert tree(house) == before


def test_a_stress_test_is_not_overwritten_unasked(house, out, capsys):
    assert run(house) == 0
    before = tree(out)
    assert run(house) == 2
    assert "already holds a stress test, and nothing in it was changed; give --overwrite" in capsys.readouterr().err
    assert tree(out) == before
    (out / "mine.txt").write_text("stays")
    (house / "scenarios.toml").write_text(SCENARIOS.split("[resources]")[0])
    assert run(house, "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "stays"
    assert not (out / "fund.parquet").exists()
    assert not (out / ".gpu-var").exists()


def test_what_no_stress_test_wrote_is_left_alone(house, tmp_path, capsys):
    other = write_house(tmp_path / "other")
    (other / "members.parquet").write_bytes(b"a table of somebody's")
    before = tree(other)
    assert run(house, "--out", str(other), "--overwrite") == 2
    assert "members.parquet and no stress.json: no stress test wrote it" in capsys.readouterr().err
    assert tree(other) == before
    assert main(["run", str(house), "--quiet"]) == 0
    before = tree(tmp_path / "book-margin")
    assert run(house, "--out", str(tmp_path / "book-margin"), "--overwrite") == 2
    assert "holds a run of gpu-var run" in capsys.readouterr().err
    assert tree(tmp_path / "book-margin") == before
    (tmp_path / "file").write_text("")
    assert run(house, "--out", str(tmp_path / "file")) == 2
    assert "is a file; give a folder" in capsys.readouterr().err


def test_an_error_leaves_everything_as_it_was(house, out, monkeypatch, capsys):
    def broken(_source):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(stress, "render", broken)
        assert run(house, "--out", str(out / "deep" / "er")) == 1
        assert not out.exists()
    assert run(house) == 0
    before = tree(out)
    with monkeypatch.context() as patch:
        patch.setattr(stress, "render", broken)
        assert run(house, "--overwrite") == 1
    assert tree(out) == before
    assert "unexpected ZeroDivisionError" in capsys.readouterr().err


def test_a_full_disk_names_the_file(house, out):
    code = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        f"from gpu_var.cli import main\nsys.exit(main(['stress', {str(house)!r}, '--quiet']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: cannot write {out / 'stress.html'}: ")
    assert not out.exists()


def test_one_at_a_time(house, out, capsys):
    with stress_folder.output_folder(out, False):
        assert run(house) == 1
        assert f"{out} is in use by another run (process {os.getpid()})" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_a_test_that_was_killed_does_not_stand_in_the_way(house, out):
    code = (
        "import os, pathlib\nfrom gpu_var.batch import stress_folder\n"
        f"with stress_folder.output_folder(pathlib.Path({str(out)!r}), False) as folder:\n"
        "    folder.write('cover.parquet', lambda stream: stream.write(b'x'))\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (out / ".gpu-var" / "cover.parquet").exists()
    assert run(house) == 0
    assert not (out / ".gpu-var").exists()


def test_accounts_that_fail_leave_exit_code_3(house, out, capsys):
    replace(house / "positions.csv", "plain,X,12", "plain,Y,1e15")
    with (house / "instruments.csv").open("a") as instruments, (house / "underlyings.csv").open("a") as underlyings:
        instruments.write("Y,spot,Y,1e280,,,\n")
        underlyings.write("Y,USD,1e20,1e6,1e6,0.001,0.005\n")
    lines = (house / "history.csv").read_text().splitlines()
    more = [f"{1e20 * (1 + 0.01 * (day % 3))!r}" for day in range(len(lines) - 1)]
    rows = [f"{line},{level}" for line, level in zip(lines, ["spot:Y", *more], strict=True)]
    (house / "history.csv").write_text("\n".join(rows) + "\n")
    assert main(["stress", str(house), "--debug"]) == 3
    said = capsys.readouterr()
    assert "error: 1 of 6 accounts failed and are left out; the others are written" in said.err
    assert "error: account plain: failed: " in said.err
    losses = [row for row in pq.read_table(out / "losses.parquet").to_pylist() if row["account"] == "plain"]
    assert {row["loss"] for row in losses} == {None}
    assert "1 account failed and is in no sum." in (out / "stress.html").read_text(encoding="utf-8")


def test_the_library_is_listed(capsys):
    assert main(["stress", "--list"]) == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.strip().startswith("history:black-monday-1987:1d-down "))
    assert line.split()[1:5] == ["1987-10-19", "-20.5", "%", "–"]
    assert "the day of the lowest one-day move of SPX" in line
    assert "frb:2025:path/4" in said
    assert "grid:spot-40:vol+100" in said


def test_usage(house, capsys):
    assert main(["stress"]) == 2
    assert "BOOK is missing" in capsys.readouterr().err
    assert main(["stress", "--help"]) == 0
    said = capsys.readouterr().out
    assert "Example: gpu-var stress book --scenarios scenarios.toml" in said
    for option in ("--scenarios", "--margin", "--out", "--overwrite", "--list", "--quiet", "--debug", "--config"):
        assert option in said


def test_a_demo_book_in_a_fresh_process(tmp_path):
    book = write_demo(tmp_path)[0]
    done = subprocess.run(
        [sys.executable, "-m", "gpu_var", "stress", str(book)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "worst of" in done.stdout
    assert "Cover 2 " in done.stdout
    out = book.with_name(f"{book.name}-stress")
    names = {p.name for p in out.iterdir()}
    assert names >= {f"{name}.parquet" for name in TABLES} | {"stress.html", "stress.json"}
    assert names >= {"close_out.parquet", "reverse.parquet", "reverse_map.parquet"}
