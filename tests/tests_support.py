"""What several test files share."""

import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load_script(name, folder="scripts"):
    """A script of scripts/ as a module, or a file of another folder."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build_book(folder, own):
    """Build the book into ``folder`` with the reader's own runs in ``own``; returns the folder with its pages."""
    jupyter_book = pathlib.Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ROOT, "--all", "-W", "-n", "--keep-going", "--path-output", folder]
    environment = os.environ | {"WISESR_RUNS": str(own)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


def pinned(name):
    """Whether a library is installed in the version of constraints.txt."""
    version = importlib.metadata.version(name)
    return f"{name}=={version}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()


def debian(*packages, command):
    """Make sure that ``command`` is there.

    Under CI=true Debian's packages are installed, and a missing one is a failure. On a user's machine nothing is
    installed, and the test is skipped by name.
    """
    os.environ["PATH"] += f"{os.pathsep}/usr/sbin{os.pathsep}/sbin"  # of daemons and apt, not always on a user's PATH
    in_ci = os.environ.get("CI") == "true"
    if in_ci and not shutil.which(command):
        apt = ["apt-get"] if os.geteuid() == 0 or not shutil.which("sudo") else ["sudo", "-n", "apt-get"]
        subprocess.run([*apt, "update", "-qq"], check=False, capture_output=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*apt, "install", "-y", "-qq", *packages], check=False, capture_output=True, env=environment)
    if not shutil.which(command):
        missing = f"'{command}' is missing (Debian: apt-get install {' '.join(packages)})"
        if in_ci:
            pytest.fail(missing)
        pytest.skip(missing)


def contrast(one, other):
    """The contrast of two colours (red, green, blue), 0 to 255, as WCAG 2 defines it: 1 to 21."""
    light, dark = sorted((_luminance(colour) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour):
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def tap(browser, kind, x, y):
    """Press and release at a place of the window, in pixels, with a pointer of a kind: "mouse" or "touch"."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    actions = ActionChains(browser, devices=[PointerInput(kind, kind)]).w3c_actions
    actions.pointer_action.move_to_location(round(x), round(y))
    actions.pointer_action.pointer_down()
    actions.pointer_action.pointer_up()
    actions.perform()


def open_page(browser, address, width=1400, mode="light"):
    """Load a page in Chromium, at a width in pixels, light or dark; what was logged before is forgotten."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    choice = {"source": f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{mode}')"}
    before = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", choice)
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(address)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", before)
    assert browser.execute_script("return document.documentElement.dataset.theme") == mode
