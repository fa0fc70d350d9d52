"""SIGKILL, in the middle of things. The long form is `python bench/faults.py`."""

import random

import pytest
from faults import experiments
from faults.state import stage


@pytest.mark.parametrize("kind", ["beginning", "shards", "writing outputs", "publishing", "clearing"])
def test_just_before_the_folder_changes(runs, out, of_kind, kind):
    experiments.kill_at(runs, out, random.Random(f"before {kind}").choice(of_kind(kind)))


def test_while_a_shard_is_written(runs, out, of_kind):
    draw = random.Random("within")
    moment = draw.choice([moment for moment in of_kind("shards") if moment.startswith("open")])
    experiments.kill_at(runs, out, moment, seconds=draw.uniform(0.0, 0.002))


def test_at_any_time(runs, out):
    experiments.kill_after(runs, out, random.Random("any time").uniform(0.0, runs.seconds))


def test_again_and_again(runs, out):
    draw = random.Random("again")
    experiments.kill_again_and_again(runs, out, [draw.uniform(0.0, 0.2 * runs.seconds) for _ in range(3)])


def test_shards_of_another_configuration_are_not_taken_for_those_of_this_one(other_runs, half):
    running = other_runs.start(half, "--overwrite")
    assert running.end().returncode == other_runs.code
    other_runs.check_whole(running, half)


def test_what_is_overwritten_stays_until_the_new_is_whole(runs, other_runs, out, of_kind):
    experiments.overwrite_at(runs, other_runs, out, random.Random("over").choice(of_kind("publishing")))


def test_a_new_run_does_not_take_up_an_old_one_unasked(runs, half):
    before = stage(half)
    ended = runs.start(half).end()
    assert ended.returncode == 2
    assert "--resume" in ended.said
    assert stage(half) == before
