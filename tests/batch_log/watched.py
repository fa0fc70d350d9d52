"""A watch whose seconds pass when a test says so, and what its observers heard."""

from gpu_var.batch import watch as module
from gpu_var.batch.watch import Watch


class Clock:
    """Stands for `time.perf_counter`."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)

    def after(self, seconds):
        self.now += seconds


class Heard(list):
    """An observer that keeps what it is told, but for what only says that time passes."""

    def __call__(self, event):
        if event.name != "tick":
            self.append(event)

    def of(self, *names):
        return [event for event in self if event.name in names]


def silent(*observers):
    """A watch that has begun, without a thread of its own."""
    watch = Watch(observers)
    watch.event("run_begun")
    return watch
