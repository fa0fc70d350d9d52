"""SIGTERM and Ctrl-C: the exit code of the contract, what to do next, and a state that resumes."""

import random
import signal
import time

import pytest
from faults import experiments

STOPS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 60.0
"""Seconds in which a stopped run has ended even on a machine that does much else; `bench/faults.py` measures them."""


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_while_it_computes(runs, out, number):
    delay = random.Random(number.name).uniform(0.0, 0.1 * runs.seconds)
    assert experiments.stop_after(runs, out, number, delay) < PATIENCE


@pytest.mark.parametrize("kind", ["shards", "publishing"])
def test_just_before_the_folder_changes(runs, out, of_kind, kind):
    draw = random.Random(f"stop {kind}")
    experiments.stop_at(runs, out, draw.choice(STOPS), draw.choice(of_kind(kind)))


def test_the_second_one_ends_it_at_once(runs, out):
    running = runs.start(out)
    runs.await_begun(running, out)
    running.signal(signal.SIGINT)
    time.sleep(0.02)
    running.signal(signal.SIGINT)
    # By the handler, or by the system where the handlers have just been put back: a shell sees 130 either way.
    assert running.end(PATIENCE).returncode in (130, -signal.SIGINT)
    runs.check_left(running, out)
    runs.resume(out)
