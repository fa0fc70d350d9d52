import pytest
from batch_log.watched import Clock
from cli.small import write_book


@pytest.fixture
def book(tmp_path):
    return write_book(tmp_path / "book")


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)
