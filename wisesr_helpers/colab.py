"""What a notebook's first cells do on Colab: check the installed version, and choose where runs are kept."""

import importlib.metadata
import json
import os
import pathlib

import wisesr_helpers

DRIVE = pathlib.Path("/content/drive")  # where Colab mounts Drive
RUNS_ON_DRIVE = DRIVE / "MyDrive/wisesr_runs"


def prepare(version, keep_runs_on_drive=False):
    """Check and print which version is installed, and set where runs are kept.

    Args:
        version: The version that the notebook belongs to.
        keep_runs_on_drive: Mount Google Drive and keep runs in ``RUNS_ON_DRIVE``, where they outlive the machine, so
            that another session continues an interrupted run. Default False.

    Raises:
        UsageError: Another version is installed or still loaded, or Drive was refused. IPython shows it as one line.
    """
    installed = importlib.metadata.version("wisesr_helpers")
    if installed != version:
        raise _refusal(
            f"This notebook belongs to wisesr_helpers {version}, but {_origin()}, which was installed, is {installed}; "
            "open the notebook of that name from there."
        )
    if wisesr_helpers.__version__ != installed:
        raise _refusal(
            f"wisesr_helpers {installed} is installed, and this session still holds {wisesr_helpers.__version__}; "
            "choose Runtime, Restart session, and run the notebook again."
        )
    print(f"wisesr_helpers {version} is installed from {_origin()}.")
    if keep_runs_on_drive:
        _mount()
        os.environ["WISESR_RUNS"] = str(RUNS_ON_DRIVE)
        print(f"Runs are kept on your Drive, in {RUNS_ON_DRIVE}.")
        return
    if os.environ.get("WISESR_RUNS") == str(RUNS_ON_DRIVE):  # it was ticked before
        del os.environ["WISESR_RUNS"]
    print("Runs are kept on this machine and lost with it; tick keep_runs_on_drive to keep them on your Drive.")


def _mount():
    from google.colab import drive

    try:
        drive.mount(str(DRIVE))
        RUNS_ON_DRIVE.mkdir(parents=True, exist_ok=True)
    except Exception as error:  # Colab raises several kinds, by what was refused and where
        raise _refusal(
            f"Google Drive can't be used ({str(error).rstrip('.') or type(error).__name__}); run this cell again and "
            "allow it, or untick keep_runs_on_drive."
        ) from None


def _origin():
    """Where pip installed the package from, in words."""
    text = importlib.metadata.distribution("wisesr_helpers").read_text("direct_url.json")
    source = json.loads(text) if text else {}
    asked = source.get("vcs_info", {}).get("requested_revision")
    if not asked:
        return source.get("url", "a package index")
    kind = "tag" if asked.startswith("v") else "branch"
    return f"the {kind} {asked} of {source['url']}"


def _refusal(sentence):
    """An error that IPython shows as one line."""
    from IPython.core.error import UsageError

    return UsageError(sentence)
