"""Parameters and operations: those of the paper's tables, and a profiler's; and the cells that a head looks at."""

import functools

import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models import classifiers, counts
from wisesr_helpers.published import number, published
from wisesr_helpers.studies import counted

PRINTED = published().query("source == 'paper' and where in ['Table 1', 'Table 6', 'Table 7', 'Table 9']")
STORED = counted.stored().set_index(["where", "backbone", "head"])
COUNTS = PRINTED.query("unit in ['parameters', 'GFLOPs']")
IMAGE_SIZE = {"Table 1": 224, "Table 6": 224, "Table 7": 224, "Table 9": 512}
CLASSES = {
    "Table 1": 70,  # its caption says so
    "Table 6": int(number("Table 2", "Intel Image Classification Challenge", "Number of Classes")),
    "Table 7": int(number("Table 2", "MIT Indoors Scenes", "Number of Classes")),
    "Table 9": int(number("Table 2", "MIT Indoors Scenes", "Number of Classes")),
}


def test_every_printed_count_is_among_the_rows_below():
    assert COUNTS.groupby("where").size().to_dict() == {"Table 1": 21, "Table 6": 9, "Table 7": 15, "Table 9": 9}


# A network is built once for all the heads on it.
built = functools.cache(ws.build_backbone)


@pytest.mark.parametrize(("where", "backbone", "head"), list(COUNTS.groupby(["where", "backbone", "head"]).groups))
def test_counts_equal_the_printed_ones(where, backbone, head, monkeypatch):
    monkeypatch.setattr(classifiers, "build_backbone", lambda name, size, *_: built(name, size))
    side = IMAGE_SIZE[where]
    model = ws.build_classifier(backbone, head, CLASSES[where], side) if head else built(backbone, side)
    channels = {"DenseNet121": 1024, "DenseNet169": 1664, "DenseNet201": 1920}.get(backbone, 2048)
    assert model.get_layer("features").output.shape == (None, side // 32, side // 32, channels)
    row = COUNTS.query("where == @where and backbone == @backbone and head == @head").set_index("unit")
    assert f"{ws.count_params(model):,}" == row["value"]["parameters"]
    if "GFLOPs" in row.index:
        assert f"{ws.count_flops(model) / 1e9:.2f}" == row["value"]["GFLOPs"]
    assert tuple(STORED.loc[where, backbone, head]) == (
        *(side, CLASSES[where], ws.count_params(model), ws.count_flops(model)),
        "×".join(map(str, model.get_layer("features").output.shape[1:])),
    )


@pytest.mark.parametrize("where", ["Section 1", "report Table 1"])
def test_counts_that_no_table_prints_are_those_of_networks_built_now(where, monkeypatch):
    monkeypatch.setattr(counted, "build_backbone", built)
    again = counted.recount(where).set_index(["where", "backbone", "head"])
    assert again.equals(STORED.loc[again.index])
    for model in again[again.index.get_level_values("head") == "gap"].itertuples():
        whole = ws.build_classifier(model.Index[1], "gap", model.classes, model.image_size)
        assert whole.count_params() == model.parameters


def test_vgg_has_as_many_parameters_as_its_authors_and_keras_say():
    assert list(STORED.loc["Section 1"]["parameters"]) == [14_714_688, 138_357_544]


def test_what_is_stored_is_what_the_sources_give_counts_of():
    assert [row[:3] for row in counted.models()] == list(STORED.index)


@pytest.mark.parametrize(
    "backbone",
    [
        "MobileNet",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("Xception", "ResNet50", "DenseNet121")),
    ],
)
def test_flops_equal_the_framework_profilers(backbone):
    tf = pytest.importorskip("tensorflow")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph

    model = ws.build_classifier(backbone, "wise", classes=70, image_size=224, preprocessing="none")
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, 224, 224, 3)))
    _, graph_def = convert_variables_to_constants_v2_as_graph(traced)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        options["output"] = "none"
        profiled = tf.compat.v1.profiler.profile(graph, options=options).total_float_ops
    # The profiler counts the head's weighted sum as a product and a sum, the classifier's softmax not at all.
    assert ws.count_flops(model) == pytest.approx(profiled, rel=2e-4)


@pytest.mark.parametrize("backbone", ["ResNet50", "Xception", "DenseNet121"])
def test_the_growth_that_section_2_5_derives(backbone):
    table = COUNTS.query("where == 'Table 1' and unit == 'parameters' and backbone == @backbone").set_index("head")
    increase = 100 * (table["number"]["wise"] / table["number"]["gap"] - 1)
    entry = published().query("where == 'Section 2.5' and unit == 'percent' and row.str.contains(@backbone)").iloc[0]
    truncated = int(increase * 100) / 100
    assert entry["number"] in (round(increase, 2), truncated)
    assert bool(entry["slip"]) == (entry["number"] != round(increase, 2))


def test_a_layer_with_weights_and_no_rule_is_not_counted_as_nothing():
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.LSTM(2, name="odd")])
    with pytest.raises(ValueError, match="No rule counts the operations of 'odd'"):
        ws.count_flops(model)


def test_parameters_follow_the_pool_size():
    by_pool = [counts.head_params("wise", (16, 16, 8), 5, pool_size=p) for p in (1, 2, 3)]
    assert by_pool == [(n + 1) * 8 + 9 * 5 for n in (256, 64, 25)]


def test_a_huge_head_is_counted_without_being_built():
    units = 4096
    expected = (32 * 32 * 2048 + 1) * units + (units + 1) * units + (units + 1) * 1000
    assert counts.head_params("vgg_fc", (32, 32, 2048), 1000) == expected


@pytest.mark.parametrize(("side", "pool", "left_out"), [(7, 2, 13), (16, 3, 31)])
def test_pre_averaging_leaves_cells_out(side, pool, left_out):
    seen, window = counts.cells_looked_at(side, side)
    assert window == pool
    assert (~seen).sum() == left_out
    covered = side // pool * pool
    assert seen[:covered, :covered].all()
    assert not seen[covered:].any()
    assert not seen[:, covered:].any()


def test_a_pool_that_divides_the_map_looks_at_all_of_it():
    assert counts.cells_looked_at(16, 16, 4)[0].all()
    assert counts.cells_looked_at(7, 9, 1)[0].all()
