"""One book and its undisturbed run, which every fault is held against."""

import shutil

import pytest
from faults import experiments
from faults.harness import Runs, write_book
from faults.state import kind_of


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("faults")
    return Runs.prepare(write_book(scratch / "book"), scratch)


@pytest.fixture(scope="session")
def other_runs(runs, tmp_path_factory):
    """The same book with another configuration."""
    return runs.with_seed(9, tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="session")
def half_done(runs, tmp_path_factory):
    """An output folder as it was left by a run that was killed when most of its shards were kept."""
    left = tmp_path_factory.mktemp("half") / "out"
    experiments.leave_at(runs, left, experiments.late_shard(runs))
    return left


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def half(half_done, out):
    """A copy of it."""
    return shutil.copytree(half_done, out)


@pytest.fixture(scope="session")
def of_kind(runs):
    """The moments of a part of the run."""
    return lambda kind: [moment for moment in runs.moments if kind_of(moment) == kind]
