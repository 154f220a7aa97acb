"""What was typed is refused before Keras is imported, in one sentence."""

import subprocess
import sys

import pytest

from wisesr_helpers.checks import check_parameters

OWN = 'head: str = "wise"  # one of ws.HEADS\nepochs: int = 0  # 0: the scale\'s own\noptions: dict = {}'


@pytest.mark.parametrize(
    ("injected", "words"),
    [
        ('heads = "wise"', "Unknown parameter 'heads'. Did you mean 'head'? Valid parameters: head, epochs, options."),
        ("epochs = 3\nepoch = 3", "Unknown parameter 'epoch'. Did you mean 'epochs'? Valid"),
        ("lr = 0.1", "Unknown parameter 'lr'. Valid parameters: head, epochs, options."),
    ],
)
def test_a_parameter_that_the_notebook_does_not_have_is_refused_with_the_nearest(injected, words):
    with pytest.raises(ValueError) as told:  # noqa: PT011
        check_parameters(["", "import os", OWN, f"# Parameters\n{injected}\n", "experiment = ws.Experiment()"])
    assert str(told.value).startswith(words)


@pytest.mark.parametrize(
    "cells",
    [
        ["", OWN, "lr = 0.1"],  # not papermill's
        ["", OWN, '# Parameters\nhead = "gap"\noptions = {"start": "average"}\n'],
        ["", OWN, "# Parameters\nlr = 0.1\n", "# Parameters\nepochs = 3\n"],  # mended, and executed again
    ],
)
def test_other_parameters_are_not(cells):
    check_parameters(cells)


# What imports a name or checks it → the answer to a wrong one.
BEFORE_KERAS = {
    'ws.Experiment("mit_512", "vise")': "Unknown head 'vise'. Valid heads: gap, wise, gap_dropout, ",
    'ws.Experiment("mit_512", backbone="Xcepton")': "Unknown backbone 'Xcepton'. Did you mean Xception or ",
    'ws.Experiment("mit_512", scale="demo", options={"cover": "all"})': "Option 'cover' must be one of blocks, exact; ",
    'ws.Experiment("mit_512", scale="demo", options={"strides": 2, "cover": "exact"})': "Option 'cover' is about sep",
    'ws.Experiment("mit_512", scale="paper", seed=-1)': "seed must be a whole number, from 0 to 4294967295; received",
    'ws.Rows("mit_512", {"one": {"head": "vise"}})': "Unknown head 'vise'. Valid heads: gap, wise, gap_dropout, ",
    'better_start.typed_rows("mit")': "study must be one of the paper's four: ",
    'compare.choose("gap, vise", "small_patch")': "Unknown head 'vise'. Valid heads: gap, wise, gap_dropout, ",
    'own_images.own_or_stand_in("/nowhere")': "There is no folder or file '/nowhere'. Give another path",
    'deeper_networks.rows("digits", "vise")': "Unknown head 'vise'. Valid heads: gap, wise, gap_dropout, ",
}


def test_a_wrong_name_is_refused_and_reports_are_imported_without_keras():
    code = f"""
import sys
import wisesr_helpers as ws
from wisesr_helpers.studies import better_start, compare, deeper_networks, own_images, report
assert ws.HEADS
for typed in {list(BEFORE_KERAS)!r}:
    try:
        eval(typed)
    except (ValueError, OSError) as error:
        print(error)
print(sorted({{"keras", "tensorflow", "jax", "torch"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    *said, imported = done.stdout.splitlines()
    assert imported == "[]"
    for line, words in zip(said, BEFORE_KERAS.values(), strict=True):
        assert line.startswith(words)
