"""The pages as a browser shows them: two widths, light and dark, nothing too wide, nothing from elsewhere."""

import json

import pytest
from tests_support import load_script

pytestmark = pytest.mark.slow


def requests_of(driver):
    """Addresses asked for since the last call, beyond the page's own folder."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("file:", "data:", "blob:", "chrome:"))]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_pages_fit_and_load_nothing_from_elsewhere(browser, built, width, mode):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for name in load_script("check_book").pages():
        browser.get(f"file://{built}/{name}.html")
        browser.execute_script("localStorage.setItem('mode', arguments[0])", mode)
        requests_of(browser)
        browser.refresh()
        assert browser.execute_script("return document.documentElement.dataset.theme") == mode
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, name
        badge = "https://colab.research.google.com/assets/colab-badge.svg"
        assert [url for url in requests_of(browser) if url != badge] == [], name
        images = browser.execute_script(
            "return [...document.querySelectorAll('article img')].map(i => [i.src, i.alt, i.naturalWidth])"
        )
        assert [image for image in images if not image[1] or (image[0].startswith("file:") and not image[2])] == [], (
            name
        )
