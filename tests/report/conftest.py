import os
import shutil

import pytest
from cli.small import write_book

import gpu_var as gv
from gpu_var.report import source

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

NASTY = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<!--<script>",
    "'\"&amp;{{ 7 * 7 }}${7 * 7}`",
    "\u2028\u202eabc",
    "x" * 1000,
]


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    book = write_book(tmp_path_factory.mktemp("report") / "book")
    return gv.run(gv.read_book(book), gv.Config.load(book / "margin.toml"))


@pytest.fixture(scope="session")
def ended(run):
    """The run as its page reads it."""
    return source.of_run(run)


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium with a profile of its own."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in the environment variable CHROMIUM")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - most tests here need no browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens a page of text; in the end nothing may have gone wrong in it, nor anything been asked of the network."""
    contexts, said = [], []

    def opened(text, **context):
        file = tmp_path / f"page-{len(contexts)}.html"
        file.write_text(text, encoding="utf-8")
        contexts.append(chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | context)))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url == file.as_uri() or said.append(f"asked for {request.url}"))
        page.goto(file.as_uri())
        return page

    opened.said = said
    yield opened
    for context in contexts:
        context.close()
    assert said == []
