import pytest
from cli.small import write_book

import gpu_var as gv


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    book = write_book(tmp_path_factory.mktemp("report") / "book")
    return gv.run(gv.read_book(book), gv.Config.load(book / "margin.toml"))
