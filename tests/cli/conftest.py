import pytest
from cli.small import write_book


@pytest.fixture
def book(tmp_path):
    return write_book(tmp_path / "book")
