"""The cells that every notebook begins with, run as they are stored: on an imitation of Colab, and elsewhere."""

import os
import pathlib
import subprocess
import sys
import textwrap

import nbformat
import pytest
from tests_support import load_script

import wisesr_helpers as ws

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks/mit_512.ipynb"  # any: test_notebooks.py says that all begin alike
ADDRESS = load_script("address").current()

# An IPython without the checkout on its path, so that only the imitation of pip brings the package.
SHELL = f"""
import os, sys
sys.path[:] = [entry for entry in sys.path if entry not in ("", {str(ROOT)!r})]
colab, *cells = sys.argv[1:]
if colab == "yes":
    from google.colab._shell import Shell
else:
    from IPython.core.interactiveshell import InteractiveShell as Shell
shell = Shell.instance(colors="NoColor")
for cell in cells:
    result = shell.run_cell(cell, store_history=False)
    if not result.success:
        sys.exit(3)
print("WISESR_RUNS =", os.environ.get("WISESR_RUNS"))
"""
GOOGLE = {
    "google/colab/__init__.py": "",
    "google/colab/_shell.py": """
        from IPython.core.interactiveshell import InteractiveShell
        class Shell(InteractiveShell):
            pass
        """,
    "google/colab/drive.py": """
        import os
        def mount(mountpoint):
            print("mounting", mountpoint)
            if os.environ["DRIVE"] == "refused":
                raise ValueError("mount failed")
        """,
}
# Installs what INSTALLABLE names as "revision=version", where pip would clone it.
PIP = """
import json, os, pathlib, shutil, sys
with open(os.environ["PIP_CALLS"], "a") as calls:
    print(*sys.argv[1:], file=calls)
requirement = sys.argv[-1]
url, revision = requirement.partition("git+")[2].rsplit("@", 1)
known = dict(pair.split("=") for pair in os.environ["INSTALLABLE"].split())
if revision not in known:
    sys.exit("ERROR: a long story")
site = pathlib.Path(os.environ["SITE"])
shutil.copytree(os.environ["PACKAGE"], site / "wisesr_helpers", ignore=shutil.ignore_patterns("__pycache__"))
info = site / f"wisesr_helpers-{known[revision]}.dist-info"
info.mkdir()
(info / "METADATA").write_text(f"Name: wisesr_helpers\\nVersion: {known[revision]}\\n")
(info / "direct_url.json").write_text(json.dumps({"url": url, "vcs_info": {"requested_revision": revision}}))
"""


def cells(notebook, keep=False):
    code = [cell for cell in notebook.cells if "hide-cell" in cell.metadata.get("tags", [])]
    install, drive = (cell.source for cell in code)
    return install, drive.replace("drive = False", "drive = True") if keep else drive


@pytest.fixture
def run(tmp_path):
    """Runs a notebook's first cells: (installable versions, …) → (exit status, what was said, pip's calls)."""
    site, programs = tmp_path / "site", tmp_path / "bin"
    for name, text in GOOGLE.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(textwrap.dedent(text))
    programs.mkdir()
    (programs / "pip").write_text(f"#!{sys.executable}\n{PIP}")
    (programs / "pip").chmod(0o755)
    (tmp_path / "shell.py").write_text(SHELL)
    calls = tmp_path / "calls"
    calls.touch()

    def start(installable="", colab="yes", keep=False, drive="granted", folder=None):
        install, prepare = cells(nbformat.read(NOTEBOOK, as_version=4), keep)
        if folder:  # where Drive is mounted on Colab only root may write
            prepare = prepare.replace(
                "colab.prepare", f"colab.RUNS_ON_DRIVE = __import__('pathlib').Path({folder!r})\n    colab.prepare"
            )
        environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "PIP_CALLS": str(calls),
            "INSTALLABLE": installable,
            "SITE": str(site),
            "PACKAGE": str(ROOT / "wisesr_helpers"),
            "DRIVE": drive,
        }
        environment.pop("WISESR_RUNS")
        done = subprocess.run(
            [sys.executable, tmp_path / "shell.py", colab, install, prepare],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
        )
        return done.returncode, (done.stdout + done.stderr).strip().splitlines(), calls.read_text().splitlines()

    return start


TAG, MAIN = f"v{ws.__version__}={ws.__version__}", f"main={ws.__version__}"
ON_MACHINE = "Runs are kept on this machine and lost with it; tick keep_runs_on_drive to keep them on your Drive."


def said(origin):
    return f"wisesr_helpers {ws.__version__} is installed from the {origin} of {ADDRESS}."


def test_the_notebooks_own_version_is_installed(run):
    status, lines, calls = run(f"{TAG} {MAIN}")
    assert (status, lines) == (0, [said(f"tag v{ws.__version__}"), ON_MACHINE, "WISESR_RUNS = None"])
    assert len(calls) == 1
    assert calls[0].endswith(f"{ADDRESS}@v{ws.__version__}")
    assert not {"-U", "--upgrade", "--force-reinstall"} & set(calls[0].split())  # TensorFlow stays as it is


def test_without_the_tag_the_branch_main_is_installed_and_said(run):
    status, lines, calls = run(MAIN)
    assert (status, lines[0]) == (0, said("branch main"))
    assert [call.rpartition("@")[2] for call in calls] == [f"v{ws.__version__}", "main"]


def test_a_failing_installation_is_one_sentence(run, tmp_path):
    status, lines, calls = run("")
    assert status == 3
    assert lines == [
        "UsageError: The package can't be installed: pip.log says why. With no network, connect and try again."
    ]
    assert len(calls) == 2
    assert "ERROR: a long story" in (tmp_path / "pip.log").read_text()


def test_another_version_than_the_notebooks_is_one_sentence(run):
    status, lines, _ = run("main=9.9.9")
    assert status == 3
    assert lines == [
        f"UsageError: This notebook belongs to wisesr_helpers {ws.__version__}, but the branch main of "
        f"{ADDRESS}, which was installed, is 9.9.9; open the notebook of that name from there."
    ]


def test_runs_are_kept_on_drive(run, tmp_path):
    folder = str(tmp_path / "MyDrive/wisesr_runs")
    status, lines, _ = run(TAG, keep=True, folder=folder)
    assert status == 0
    assert lines[1:] == [
        "mounting /content/drive",
        f"Runs are kept on your Drive, in {folder}.",
        f"WISESR_RUNS = {folder}",
    ]
    assert pathlib.Path(folder).is_dir()


def test_a_refused_drive_is_one_sentence(run, tmp_path):
    folder = tmp_path / "MyDrive/wisesr_runs"
    status, lines, _ = run(TAG, keep=True, drive="refused", folder=str(folder))
    assert status == 3
    assert lines[-1] == (
        "UsageError: Google Drive can't be used (mount failed); run this cell again and allow it, or untick "
        "keep_runs_on_drive."
    )
    assert len(lines) == 3  # the version, the attempt, the sentence
    assert not folder.exists()


def test_elsewhere_nothing_happens(run):
    assert run(f"{TAG} {MAIN}", colab="no", keep=True) == (0, ["WISESR_RUNS = None"], [])


def test_drive_is_left_again_when_the_box_is_unticked(monkeypatch, capsys):
    from wisesr_helpers import colab

    monkeypatch.setenv("WISESR_RUNS", str(colab.RUNS_ON_DRIVE))
    colab.prepare(ws.__version__, False)
    assert "WISESR_RUNS" not in os.environ
    assert capsys.readouterr().out.endswith(f"{ON_MACHINE}\n")
    monkeypatch.setenv("WISESR_RUNS", "elsewhere")  # the user's own choice stays
    colab.prepare(ws.__version__, False)
    assert os.environ["WISESR_RUNS"] == "elsewhere"


def test_a_session_that_holds_an_older_version_is_told_to_restart(monkeypatch):
    from IPython.core.error import UsageError

    from wisesr_helpers import colab

    monkeypatch.setattr(ws, "__version__", "0.0.1")
    with pytest.raises(UsageError, match=r"this session still holds 0\.0\.1; choose Runtime, Restart session"):
        colab.prepare("0.1.0")
