"""What comes back from every mistake of the book's page: given, valid, what to do, and nothing is written."""

import json
import re

import pytest
from _pages.mistakes import COMMANDS, EXPRESSIONS, answer, command, gallery

MISTAKES = COMMANDS | EXPRESSIONS

# Name → (exception, what was given, what is valid, what to do); a sentence may say two of them in the same words.
ANSWERS = {
    "a head that doesn't exist": (ValueError, "'vise'", "gap, wise, gap_dropout, depthwise", "Valid heads: "),
    "a backbone that doesn't exist": (ValueError, "'Xcepton'", "Valid: small_patch, small_conv, ", "Xception"),
    "a scale that doesn't exist": (ValueError, "'large'", "auto, paper, demo, smoke", "Valid scales: "),
    "an option that the head doesn't have": (ValueError, "'start' for head 'gap'", "weights, convention", "Valid opt"),
    "a value that the option doesn't have": (ValueError, "received 'imagnet'", "imagenet, none", "must be one of"),
    "a negative number of epochs": (ValueError, "received -5", "a whole number, 0 or more", "epochs must be"),
    "the paper's scale without its photographs": (
        FileNotFoundError,
        "There is no folder 'photos', and MIT Indoor Scenes, recognised by TrainImages.txt and TestImages.txt, was",
        "Two ways to get it",
        'python -m wisesr_helpers.data fetch mit --data-dir "photos"',
    ),
    "a file where the runs should go": (OSError, "'notes.txt'", "folder that can be written", "Give another with runs"),
    "images too small for the backbone": (ValueError, "32×32 pixels", "at least 71x71", "use larger ones"),
    "dropout for a head that has none": (
        ValueError,
        "received 0.5",
        "gap_dropout, wise_dropout",
        "takes no dropout_rate",
    ),
    "a folder that isn't there": (FileNotFoundError, "'photos'", "a CSV with the columns", "give a folder with one"),
    "a folder without a subfolder for each class": (ValueError, "'cat.jpg'", "a CSV with", "give a folder with one"),
    "a list with a wrong column": (ValueError, "'filename', 'label'", "Correct it"),
    "a run that was never made": (FileNotFoundError, "'runs/mine'", "such as 'runs/mit_512--demo--", "Give a run's"),
}


def test_every_mistake_of_the_page_is_tested():
    assert list(MISTAKES) == list(ANSWERS)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_and_nothing_is_written(name, tmp_path):
    kind, *phrases = ANSWERS[name]
    typed, files = MISTAKES[name]
    error = answer(typed, files, tmp_path)
    assert type(error) is kind
    assert [phrase for phrase in phrases if phrase not in str(error)] == []
    assert len(re.findall(r"[.?](?= [A-Z]|$)", str(error))) <= 3
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)
    left = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == files


def test_what_is_shown_is_what_is_made():
    typed = command(COMMANDS["an option that the head doesn't have"][0])
    assert typed.startswith("papermill notebooks/mit_512.ipynb runs/out.ipynb -p head gap -y 'options: ")
    assert json.loads(typed.split("options: ")[1].rstrip("'")) == {"start": "average"}
    name = "a head that doesn't exist"
    shown = gallery({name: COMMANDS[name]}).data
    assert "-p head vise</pre>" in shown
    assert "ValueError: Unknown head &#x27;vise&#x27;. Valid heads: gap, " in shown


def test_a_mistake_that_is_not_refused_stops_the_page():
    with pytest.raises(RuntimeError, match="'1 \\+ 1' was not refused, although it is no mistake"):
        gallery({"no mistake": ("1 + 1", {})})
