"""What stops a run, by the exit code that it ends with. Bad input is `InputError` of the tables, exit code 2."""

import signal


class UsageError(ValueError):
    """Exit code 2: what was asked for makes no sense; the message says what to do instead."""


class RunError(RuntimeError):
    """Exit code 1: the run cannot go on, for a reason outside the input."""


class WriteError(RunError):
    """Exit code 1: a file or folder cannot be written; the message names its path."""

    def __init__(self, path: object, error: OSError) -> None:
        super().__init__(f"cannot write {path}: {error.strerror or error}")


class Interrupted(KeyboardInterrupt):
    """Exit code 130 or 143: SIGINT or SIGTERM came."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum
