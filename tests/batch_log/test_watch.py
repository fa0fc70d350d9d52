"""What observers are told: stages, rates, ends."""

import errno
from datetime import UTC, datetime, timedelta

import pytest
from batch_log.watched import Heard, silent

from gpu_var import cli
from gpu_var.batch import watch as module
from gpu_var.batch.errors import Interrupted, RunError, UsageError, WriteError
from gpu_var.batch.watch import LISTED, Watch, exit_code_of, outcome
from gpu_var.tables.findings import Findings, InputError


def bad_input():
    findings = Findings()
    findings.error("fx.csv", "wrong")
    return InputError(findings)


def test_a_stage_ends_when_another_begins(clock):
    heard = Heard()
    with Watch([heard], book="b") as watch:
        for stage, fraction, seconds in [
            ("reading", None, 2),
            ("revalue", 0.0, 1),
            ("revalue", 1.0, 1),
            ("writing", None, 3),
        ]:
            watch(stage, fraction)
            clock.after(seconds)
    told = [(e.name, e.state.stage) for e in heard if e.name != "progress"]
    assert told == [
        ("run_begun", None),
        ("stage_begun", "reading"),
        ("stage_ended", "reading"),
        ("stage_begun", "revalue"),
        ("stage_ended", "revalue"),
        ("stage_begun", "writing"),
        ("stage_ended", "writing"),
        ("run_ended", "writing"),
    ]
    assert heard[0].facts["book"] == "b"
    assert heard[-1].state.seconds == {"reading": 2, "revalue": 2, "writing": 3}
    assert heard[-1].state.elapsed == 7
    assert heard[-1].facts == {"state": "finished", "exit_code": 0}


def test_a_stage_taken_up_again_goes_on_where_it_was(clock):
    heard = Heard()
    watch = silent(heard)
    watch.plan("revalue", 100)
    watch("revalue", 0.0)
    clock.after(2)
    watch("revalue", 0.5)
    watch("measures", 0.0)
    clock.after(1)
    watch("revalue", 0.5)
    clock.after(3)
    watch("revalue", 0.75)
    assert heard.of("stage_ended")[0].state.done == 50
    assert (watch.state.done, watch.state.total) == (75, 100)
    assert watch.state.rate == pytest.approx(25 / 3)
    watch.end(0)
    assert heard[-1].state.seconds == {"revalue": 5, "measures": 1}


def test_rate_and_time_left(clock):
    watch = silent()
    watch.plan("revalue", 1000, shards=4)
    watch("revalue", 0.0)
    assert (watch.state.rate, watch.state.left) == (None, None)
    clock.after(10)
    watch("revalue", 0.25)
    state = watch.state
    assert (state.done, state.total, state.unit) == (250, 1000, "revaluations")
    assert (state.rate, state.left) == (pytest.approx(25), pytest.approx(30))


def test_the_rate_is_that_of_late(clock):
    watch = silent()
    watch.plan("revalue", 10_000)
    for second in range(100):  # ten a second, then a hundred
        watch("revalue", (10 * second if second < 50 else 500 + 100 * (second - 50)) / 10_000)
        clock.after(1)
    assert watch.state.rate == pytest.approx(100, rel=0.05)


def test_shards_say_what_the_stage_does_not(clock):
    heard = Heard()
    watch = silent(heard)
    watch.plan("greeks", 10, "instruments", shards=1)
    watch.plan("revalue", 1000, shards=3)
    watch("greeks", 0.0)
    watch.shard("g", "greeks", 10)
    watch("revalue", 0.0)
    clock.after(2)
    watch.shard("a", "revalue", 500, worker="w1")
    state = watch.state
    assert (state.shards, state.shards_done) == (4, 2)
    assert (state.fraction, state.done, state.rate) == (0.5, 500, pytest.approx(250))
    assert (state.revaluations, state.revaluations_done) == (1000, 500)
    assert heard.of("shard_done")[-1].facts == {"shard": "a", "stage": "revalue", "work": 500, "worker": "w1"}
    watch("revalue", 0.4)  # less than is known to be done
    assert watch.state.done == 500


@pytest.mark.parametrize("before", [True, False], ids=["before the stage", "within it"])
def test_what_was_found_done_counts_for_no_rate(clock, before):
    heard = Heard()
    watch = silent(heard)
    watch.plan("revalue", 1000, shards=3)
    if before:
        watch.shard("a", "revalue", 600, found=True)
    watch("revalue", 0.0)
    if not before:
        watch.shard("a", "revalue", 600, found=True)
    clock.after(10)
    watch.shard("b", "revalue", 200)
    state = watch.state
    assert (state.shards_done, state.shards_found, state.done) == (2, 1, 800)
    assert (state.rate, state.left) == (pytest.approx(20), pytest.approx(10))
    assert [event.facts["shard"] for event in heard.of("shard_found")] == ["a"]


def test_an_empty_plan_divides_by_nothing(clock):
    watch = silent()
    watch.plan("revalue", 0, shards=1)
    watch("revalue", 0.0)
    clock.after(1)
    watch.shard("a", "revalue", 0, found=True)
    watch("revalue", 1.0)
    assert watch.state.fraction == 1.0
    assert watch.state.done == 0


def test_a_clock_that_jumps_turns_no_order_around(clock, monkeypatch):
    class Jumping(datetime):
        hours = 0

        @classmethod
        def now(cls, _tz=None):
            cls.hours -= 1
            return datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=cls.hours)

    monkeypatch.setattr(module, "datetime", Jumping)
    heard = Heard()
    watch = silent(heard)
    for stage in "abc":
        clock.after(1)
        watch(stage)
    times = [event.time for event in heard]
    assert times == sorted(times)
    assert times[-1] - times[0] == timedelta(seconds=3)


def test_an_observer_that_fails_is_dropped_and_the_run_goes_on(capsys):
    def full(_event):
        raise WriteError("log.jsonl", OSError(errno.ENOSPC, "No space left on device"))

    heard = Heard()
    with Watch([full, heard]) as watch:
        watch("revalue", 0.5)
    said = capsys.readouterr().err
    assert said == "error: cannot write log.jsonl: No space left on device; the run goes on without it\n"
    assert [event.name for event in heard].count("observer_lost") == 1
    assert heard[-1].facts["exit_code"] == 0


def test_accounts_that_failed_are_told_up_to_a_number():
    heard = Heard()
    silent(heard).failed(((f"a{i}", "failed: x") for i in range(LISTED + 5)), LISTED + 5)
    told = heard.of("account_failed")
    assert [event.facts.get("account") for event in told[:2]] == ["a0", "a1"]
    assert (len(told), told[-1].facts, told[-1].level) == (LISTED + 1, {"more": 5}, "error")
    assert told[-1].state.accounts_failed == LISTED + 5


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (bad_input(), "refused"),
        (UsageError("no"), "refused"),
        (RunError("no"), "failed"),
        (WriteError("f", OSError(5, "x")), "failed"),
        (MemoryError(), "failed"),
        (ZeroDivisionError("by zero"), "failed"),
        (Interrupted(2), "interrupted"),
        (Interrupted(15), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_end_is_told_as_the_command_line_ends(error, state):
    code, _ = cli._outcome(error)
    assert exit_code_of(error) == code
    heard = Heard()
    watch = Watch([heard])
    watch("revalue", 0.5)
    with pytest.raises(type(error)), watch:
        raise error
    facts = heard[-1].facts
    assert (facts["state"], facts["exit_code"]) == (state, code)
    assert facts["error"]["kind"] == type(error).__name__
    assert facts["error"]["message"]
    assert heard[-1].level == "error"
    assert not heard.of("stage_ended")  # it did not


def test_the_end_is_told_once_and_may_be_some_failed():
    heard = Heard()
    with Watch([heard]) as watch:
        assert watch.finish(3) == 3
    watch.end(1)
    assert [event.facts for event in heard.of("run_ended")] == [{"state": "finished", "exit_code": 3}]
    assert outcome(1)["state"] == "failed"


def test_no_two_runs_have_one_name():
    names = {Watch().run for _ in range(50)}
    assert len(names) == 50
    assert all(name[:8].isdigit() for name in names)
