"""The built book, shared by the tests of its pages."""

import json
import pathlib
import re

import pytest
from filelock import FileLock
from tests_support import ROOT, build_book, debian, open_page

from wisesr_helpers.training import runs

OFFLINE = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="session")
def built(tmp_path_factory, request):
    """The book, built with one more run of the reader's own: the folder with its pages. Workers share it."""
    alone = not hasattr(request.config, "workerinput")
    base = tmp_path_factory.getbasetemp()
    folder = (base if alone else base.parent) / "book"
    with FileLock(f"{folder}.lock"):
        done = folder / "done"
        if not done.exists():
            committed = sorted((ROOT / "results").glob("mit_512--demo--*.json"))[0]
            record = json.loads(committed.read_text(encoding="utf-8"))
            record["outcome"]["parameters"]["seed"] = 77
            identity = re.sub(r"--s\d+$", "--s77", record["identity"])
            runs.write_record(folder / "runs" / identity, record["outcome"], record["execution"])
            done.write_text(str(build_book(folder, folder / "runs")), encoding="utf-8")
        return pathlib.Path(done.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium that keeps what the pages ask for and what they say."""
    debian("chromium", "chromium-driver", command="chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    for option in OFFLINE:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, built):
    """A function that opens a page of the book in a window of a width, light or dark."""

    def opened(name, width=1400, mode="light"):
        open_page(browser, f"file://{built}/{name}.html", width, mode)

    return opened
