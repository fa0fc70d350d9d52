import pytest
from batch.batch_books import outputs, run, write_house


@pytest.fixture
def book(tmp_path):
    return write_house(tmp_path / "book")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The outputs of a run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(write_house(folder / "book"), folder / "out") == 0
    return outputs(folder / "out")
