"""Figures: drawn on the axes they are given, from the records' own numbers, with words made of the same numbers."""

import base64
import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
import records
from matplotlib.colors import to_hex
from PIL import Image

from wisesr_helpers import plots
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.plots.heads import Step
from wisesr_helpers.training import runs

SIDE = 96


record = records.result


@pytest.fixture
def table(tmp_path):
    """Four runs of two backbones and two heads, as load_runs returns them."""
    for head, backbone, seed, right in (
        ("gap", "small_patch", 0, 150),
        ("wise", "small_patch", 0, 290),
        ("wise", "small_patch", 1, 300),
        ("gap", "small_conv", 0, 287),
    ):
        records.keep(tmp_path, head=head, backbone=backbone, seed=seed, correct=(60, right))
    return runs.load_runs(tmp_path)


@pytest.fixture(scope="module")
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), dtype="uint8")
    split = Split(images, np.array([2, 0, 1, 0, 2, 3, 1, 3]), "digest")
    return Dataset("noise", ("zero", "one", "two", "three"), split, split, photographs=False)


@pytest.fixture(scope="module")
def model():
    from wisesr_helpers._keras import keras
    from wisesr_helpers.models.classifiers import build_classifier

    keras.utils.set_random_seed(0)
    return build_classifier("small_patch", "gap", classes=4, image_size=SIDE)


def test_a_figure_is_white_whatever_the_style_says():
    with matplotlib.rc_context({"figure.facecolor": "black", "savefig.facecolor": "auto"}):
        drawn, ax = plots.figure(3, 2)
        png = io.BytesIO()
        drawn.savefig(png, format="png", dpi=50)
    picture = np.asarray(Image.open(png).convert("RGBA"))
    assert picture.shape == (100, 150, 4)
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert ax.figure is drawn


def test_a_figure_of_several_panels_has_an_array_of_axes():
    assert plots.figure(columns=3)[1].shape == (3,)
    assert plots.figure(columns=3, rows=2)[1].shape == (2, 3)
    assert plots.figure(squeeze=False)[1].shape == (1, 1)


def test_a_head_keeps_its_colour():
    assert plots.colour("gap") != plots.colour("wise")
    assert plots.colour("avg_fc") == plots.colour("avg_fc") in plots.OTHER_COLOURS


SINGLE = {
    "curves": lambda ax, table: plots.curves(table["run"], ax),
    "accuracies": lambda ax, table: plots.accuracies(table, ax),
    "attention": lambda ax, table: plots.attention(np.zeros((8, 6, 3), "uint8"), np.ones((4, 3)), ax),
    "head_diagram": lambda ax, table: plots.head_diagram([Step("average", "2×2", (3,))], (2, 2, 3), ax),
}


@pytest.mark.parametrize("name", SINGLE)
def test_the_axes_that_were_given_are_drawn_on_and_returned(name, table):
    drawn, axes = plots.figure(columns=2)
    assert SINGLE[name](axes[1], table) is axes[1]
    assert axes[1].get_children() != []
    assert not axes[0].has_data()
    assert not axes[0].texts
    assert drawn.axes == list(axes)


@pytest.mark.parametrize("name", ["labelled_sample", "contributions"])
@pytest.mark.parametrize("rows", [1, 2])
def test_the_array_of_axes_that_was_given_is_returned(name, rows, dataset, model):
    _, axes = plots.figure(columns=2, rows=rows, squeeze=False)
    if name == "labelled_sample":
        returned = plots.labelled_sample(dataset, axes)
    else:
        returned = plots.contributions(model, dataset, axes)
    assert all(len(ax.images) > 0 for ax in axes.flat)
    assert returned.shape == axes.shape
    assert (returned == axes).all()


def test_curves_draw_the_history_of_every_record():
    drawn = [
        record(head="gap", correct=(60, 120, 150)),
        record(head="wise", correct=(30, 290)),
        record(head="wise", backbone="small_conv", seed=1, correct=(99,)),
    ]
    for measure in ("test_top1", "test_loss", "learning_rate"):
        ax = plots.curves(drawn, plots.figure()[1], measure)
        lines = ax.lines[:3]
        assert len(ax.lines) == 3 + (measure == "test_top1")  # the runs and chance
        for line, one in zip(lines, drawn, strict=True):
            history = one.history
            np.testing.assert_array_equal(line.get_xdata(), [row["epoch"] for row in history])
            np.testing.assert_array_equal(line.get_ydata(), [row[measure] for row in history])
        assert [to_hex(line.get_color()).upper() for line in lines] == ["#D55E00", "#0072B2", "#0072B2"]
        assert lines[0].get_linestyle() == lines[1].get_linestyle() != lines[2].get_linestyle()


def with_classes(count, **choices):
    return record(**choices, changes={"classes": tuple(map(str, range(count)))})


@pytest.mark.parametrize(("counts", "levels"), [((4, 4, 4), [0.25]), ((4, 8, 4), [0.125, 0.25])])
def test_curves_of_top1_have_a_line_at_chance_named_once(counts, levels):
    drawn = [with_classes(count, seed=seed) for seed, count in enumerate(counts)]
    ax = plots.curves(drawn, plots.figure()[1])
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [[level] * 2 for level in levels]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["small_patch + wise", "chance"]
    said = plots.describe_curves(drawn)
    assert said.endswith("".join(f" Chance is {level:.1%}." for level in levels))


def test_a_loss_and_the_top5_have_no_chance():
    for measure in ("test_loss", "test_top5"):
        assert len(plots.curves([record()], plots.figure()[1], measure).lines) == 1
        assert "Chance" not in plots.describe_curves([record()], measure)


def test_curves_name_each_model_once_and_leave_a_gap_where_nothing_is_finite():
    ax = plots.curves([record(seed=0, losses=[1.5, None]), record(seed=1)], plots.figure()[1], "test_loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["small_patch + wise"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.5, np.nan])
    assert ax.get_ylim()[1] > 1.1  # a loss is no share


def test_a_share_is_drawn_on_the_whole_scale():
    ax = plots.curves([record(correct=(30, 33))], plots.figure()[1])
    assert ax.get_ylim() == (0, 1.02)


def crosses(ax):
    return [line for line in ax.lines if line.get_marker() == "x"]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_curve_of_a_diverged_run_ends_with_a_cross_at_its_last_whole_epoch():
    drawn = [record(head="gap", seed=1, **records.diverged((60, 99))), record(correct=(60, 120, 290))]
    for measure in ("test_top1", "loss"):
        ax = plots.curves(drawn, plots.figure()[1], measure)
        (cross,) = crosses(ax)
        last = drawn[0].history[1]
        assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([2], [last[measure]])
        assert to_hex(cross.get_color()) == to_hex(plots.colour("gap"))
        assert legend(ax)[:3] == ["small_patch + gap", "gap, seed 1: diverged in epoch 3", "small_patch + wise"]
        assert ax.get_xlim()[1] > 20  # epochs of its recipe: it is seen to end early
    said = plots.describe_curves(drawn)
    assert "small_patch with gap, seed 1: 20.0% after epoch 1, 33.0% after epoch 2, diverged in epoch 3; " in said
    assert "small_patch with wise, seed 0: 20.0% after epoch 1, 96.7% after epoch 3. " in said


def test_only_diverged_runs_have_a_cross():
    drawn = [record(), record(correct=(60, 99), status="running", epochs=20), record(correct=(50, 50))]
    ax = plots.curves(drawn, plots.figure()[1])
    assert crosses(ax) == []
    assert legend(ax) == ["small_patch + wise", "chance"]
    assert "20.0% after epoch 1, 33.0% after epoch 2, running (2 of 20 epochs); " in plots.describe_curves(drawn)


def test_a_long_recipe_does_not_stretch_the_scale_of_a_loss():
    ax = plots.curves([record(**records.diverged((60, 99)))], plots.figure()[1], "test_loss")  # losses 1.5 and 0.75
    assert ax.get_ylim()[0] > 0.5


def test_where_two_backbones_share_the_axes_the_legend_says_which_one_diverged():
    drawn = [record(**records.diverged()), record(backbone="small_conv", **records.diverged((60,)))]
    ax = plots.curves(drawn, plots.figure()[1])
    assert legend(ax)[1::2] == [
        "small_patch + wise, seed 0: diverged in epoch 3",
        "small_conv + wise, seed 0: diverged in epoch 2",
    ]


@pytest.mark.parametrize("measure", ["test_top1", "top1", "loss"])
@pytest.mark.parametrize("others", [0, 1])
def test_a_run_that_diverged_before_a_whole_epoch_is_named(measure, others):
    drawn = [record(head="gap", **records.diverged((), step=1, loss=None)), *[record()] * others]
    page, axes = plots.figure(9, 3, columns=2)
    for ax in axes:
        plots.curves(drawn, ax, measure)
    assert legend(axes[0])[: 1 + others] == ["gap, seed 0: diverged in epoch 1", "small_patch + wise"][: 1 + others]
    page.savefig(io.BytesIO(), dpi=40)  # a warning that the layout collapsed is an error
    assert axes[1].get_position().width > 0.3
    first = "small_patch with gap, seed 0: no whole epoch, diverged in epoch 1"
    words = {"test_top1": "test top-1", "top1": "top-1", "loss": "loss"}[measure]
    assert plots.describe_curves(drawn, measure).startswith(f"{words} by epoch. {first}")


def test_a_single_epoch_is_said_once_and_ticked_as_a_whole_number():
    assert plots.describe_curves([record(correct=(60,))]).count("after epoch") == 1
    drawn, ax = plots.figure()
    plots.curves([record(correct=(60,))], ax)
    drawn.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def test_accuracies_put_runs_that_are_not_complete_off_the_scale(tmp_path):
    records.keep(tmp_path, head="gap", seed=0, correct=(60, 150))
    records.keep(tmp_path, head="gap", seed=1, **records.diverged((60, 299)))
    records.keep(tmp_path, head="gap", seed=2, **records.diverged((), step=1, loss=None))
    records.keep(tmp_path, head="wise", seed=0, correct=(60, 298), status="running", epochs=20)
    table = runs.load_runs(tmp_path)
    drawn, ax = plots.figure()
    plots.accuracies(table, ax)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in dots] == [[0.5]]
    on_scale = [line for line in ax.lines if line.get_transform() == ax.transData]
    assert len(on_scale) == 2  # a dot and its interval; chance goes across
    marks = crosses(ax)
    assert len(marks) == 2
    assert all(line.get_transform() == ax.get_yaxis_transform() for line in marks)
    assert all(0 < line.get_xdata()[0] < 0.05 for line in marks)
    assert [to_hex(line.get_color()) for line in marks] == [to_hex(plots.colour("gap"))] * 2
    said = [text.get_text().strip() for text in ax.texts]
    assert sorted(said) == [
        "chance",
        "seed 0 running (2 of 20 epochs)",
        "seed 1 diverged in epoch 3; seed 2 diverged in epoch 1",
    ]
    drawn.savefig(io.BytesIO(), dpi=40)
    words = plots.describe_accuracies(table)
    for part in (
        "small_patch with gap, seed 0: 50.0%",
        "small_patch with gap, seed 1: diverged in epoch 3",
        "small_patch with gap, seed 2: diverged in epoch 1",
        "small_patch with wise, seed 0: running (2 of 20 epochs)",
    ):
        assert part in words
    assert "99" not in words


def test_accuracies_draw_every_run_with_its_interval(table):
    ax = plots.accuracies(table, plots.figure()[1])
    dots = [line for line in ax.lines if len(line.get_xdata()) == 1]
    *spans, guess = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert list(guess.get_xdata()) == [1 / 6] * 2  # the records' six classes
    assert guess.get_linestyle() == ":"
    assert [text.get_text().strip() for text in ax.texts] == ["chance"]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert sorted(names) == ["small_conv + gap", "small_patch + gap", "small_patch + wise"]
    assert len(dots) == len(spans) == len(table)
    found = []
    for dot, span in zip(dots, spans, strict=True):
        name = names[round(dot.get_ydata()[0])]
        found.append((name, dot.get_xdata()[0]))
        right = round(dot.get_xdata()[0] * 300)
        assert tuple(span.get_xdata()) == pytest.approx(wilson_interval(right, 300))
        assert list(span.get_ydata()) == [dot.get_ydata()[0]] * 2
        assert dot.get_color() == span.get_color() == plots.colour(name.split(" + ")[1])
    expected = [(f"{row.backbone} + {row.head}", row.top1) for row in table.itertuples()]
    assert sorted(found) == sorted(expected)


def test_a_labelled_sample_is_the_first_test_image_of_each_class(dataset):
    axes = plots.labelled_sample(dataset, plots.figure(columns=4)[1])
    for ax, first, name in zip(axes, (1, 2, 0, 5), dataset.classes, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), np.stack([dataset.test.images[first]] * 3, axis=-1))
        assert ax.get_title() == name


def test_contributions_are_titled_with_the_class_and_the_prediction(dataset, model):
    axes = plots.contributions(model, dataset, plots.figure(columns=2)[1])
    indices = [1, 5]  # the first images of the first and the last class
    guesses = np.asarray(model.predict_on_batch(dataset.test.rgb(indices))).argmax(axis=1)
    assert [ax.get_title() for ax in axes] == [
        f"{label}\n→ {dataset.classes[guess]}" for label, guess in zip(("zero", "three"), guesses, strict=True)
    ]
    np.testing.assert_array_equal(axes[1].images[0].get_array(), dataset.test.rgb([5])[0])
    added = np.asarray(axes[1].images[1].get_array())
    assert added.shape == (3, 3)
    row, column = np.argwhere(np.abs(added) == np.abs(added).max())[0]
    assert f"three, predicted {dataset.classes[guesses[1]]}, most from the cell in row {row + 1} of 3 and column " in (
        plots.describe_contributions(axes)
    )
    assert f"column {column + 1} of 3: {added[row, column]:+.2g}." in plots.describe_contributions(axes)


def test_attention_is_symmetric_around_nothing_and_covers_the_image():
    image = np.zeros((8, 6, 3), "uint8")
    added = np.array([[1.0, -4.0], [0.0, 2.0]])
    ax = plots.attention(image, added, plots.figure()[1])
    below, above = ax.images
    assert below.get_extent() == above.get_extent() == [0, 6, 8, 0]
    np.testing.assert_array_equal(above.get_array(), added)
    assert above.get_clim() == (-4, 4)
    least = plots.attention(image, np.zeros((2, 2)), plots.figure()[1]).images[1]
    assert least.get_clim() == (-1, 1)


def test_a_head_diagram_names_every_step_and_every_array():
    steps = [Step("average pooling", "3×3", (5, 5, 96)), Step("fully connected", "", (6,))]
    ax = plots.head_diagram(steps, (16, 16, 96), plots.figure()[1])
    expected = ["16×16×96\nfeature map", "average pooling\n3×3", "5×5×96", "fully connected", "6"]
    assert [text.get_text() for text in ax.texts] == expected
    faces = [to_hex(text.get_bbox_patch().get_facecolor()).upper() for text in ax.texts]
    assert faces == [plots.ARRAY, plots.COMPUTING, plots.ARRAY, plots.COMPUTING, plots.ARRAY]


def test_curves_in_words_say_where_every_run_begins_and_ends():
    said = plots.describe_curves([record(head="gap", seed=2, correct=(63, 99, 152)), record(correct=(30, 290))])
    assert "small_patch with gap, seed 2: 21.0% after epoch 1, 50.7% after epoch 3" in said
    assert "small_patch with wise, seed 0: 10.0% after epoch 1, 96.7% after epoch 2" in said
    assert said != plots.describe_curves([record(head="gap", seed=2, correct=(63, 99, 153)), record(correct=(30, 290))])


def test_a_loss_in_words_is_no_percentage():
    said = plots.describe_curves([record(losses=[1.25, 0.5])], "test_loss")
    assert "%" not in said
    assert "1.25 after epoch 1, 0.5" in said


def test_words_say_where_nothing_is_finite():
    assert "no finite value after epoch 2" in plots.describe_curves([record(losses=[1.25, None])], "test_loss")


def test_accuracies_in_words_name_every_run(table):
    said = plots.describe_accuracies(table)
    for part in (
        "small_patch with gap, seed 0: 50.0%",
        "small_patch with wise, seed 0: 96.7%",
        "small_patch with wise, seed 1: 100.0%",
        "small_conv with gap, seed 0: 95.7%",
    ):
        assert part in said
    assert said.endswith(". Chance is 16.7%.")
    assert said != plots.describe_accuracies(table.assign(top1=table["top1"] - 0.01))


@pytest.mark.parametrize("alt", ["Final test top-1: 96.7% ± 1", "zero → one; ≤ 3"])
def test_a_shown_figure_carries_its_description(monkeypatch, alt):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *data, **options: shown.append((*data, options)))
    drawn, ax = plots.figure(2, 1)
    ax.plot([0, 1])
    plots.show(drawn, alt, dpi=80)
    ((data, options),) = shown
    assert options == {"raw": True, "metadata": {"image/png": {"alt": alt}}}
    assert data["text/plain"] == alt
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"], validate=True)))
    assert picture.size == (160, 80)
    assert picture.text == {"Description": alt}


def test_the_same_figure_is_the_same_bytes(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data["image/png"]))
    for right in (290, 290, 291):
        drawn, ax = plots.figure()
        plots.curves([record(correct=(30, right))], ax)
        plots.show(drawn, "words")
    assert shown[0] == shown[1] != shown[2]


def test_the_helpers_table_is_what_plots_take(table):
    assert isinstance(table, pd.DataFrame)
    assert sorted(table["correct"]) == [150, 287, 290, 300]
