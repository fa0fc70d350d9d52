"""A disk that is full, a folder that may not be written, a file that is damaged."""

import random

import pytest
from faults import disks, experiments
from faults.harness import check_unwritable
from faults.state import WORK, shards, stage, tables


@pytest.fixture(scope="session")
def small_disks(tmp_path_factory):
    reason = disks.cannot_mount(tmp_path_factory.mktemp("mount"))
    if reason:
        pytest.skip(f"no small disk can be mounted here: {reason}")


@pytest.mark.parametrize("share", [0.002, 0.4], ids=["at once", "half way"])
def test_a_full_disk(runs, out, small_disks, share):
    disks.fill(runs, out, int(share * sum(map(len, runs.expected.values()))))


@pytest.mark.parametrize("size", [2_000, 50_000], ids=["positions", "shards"])
def test_no_file_may_grow_further(runs, out, size):
    experiments.limit(runs, out, size)


@pytest.mark.parametrize(("action", "kind"), [("full", "shards"), ("readonly", "publishing")])
def test_from_a_moment_on(runs, out, of_kind, action, kind):
    experiments.fail_at(runs, out, action, random.Random(action).choice(of_kind(kind)))


def test_an_output_folder_that_may_not_be_written(runs, out):
    out.mkdir()
    with disks.read_only(out):
        ended = runs.start(out, within=disks.bounded()).end()
        check_unwritable(ended.returncode, ended.said, out)
        assert f"{out / WORK}" in ended.said
        assert not list(out.iterdir())
    runs.resume(out)


def test_a_state_that_may_not_be_written(runs, half):
    before, kept = stage(half), {path.name: path.read_bytes() for path in shards(half)}
    with disks.read_only(half, *(path for path in half.rglob("*") if path.is_dir())):
        ended = runs.start(half, "--resume", within=disks.bounded()).end()
        check_unwritable(ended.returncode, ended.said, half)
        assert stage(half) == before
        assert not tables(half)
        assert {path.name: path.read_bytes() for path in shards(half)} == kept
    runs.resume(half)


def test_damaged_shards_are_done_again(runs, half):
    experiments.spoil(runs, half, random.Random("damage"))


def test_one_shard_in_the_place_of_another(runs, half):
    alike = [path for path in shards(half) if path.name.startswith("000001-0")]
    first, second = random.Random("swap").sample(alike, 2)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    runs.resume(half)
