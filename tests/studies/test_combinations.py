"""What a head costs and looks at on a backbone: as built, and beside what is printed."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers.studies import explore, report


@pytest.mark.parametrize("head", list(ws.HEADS))
def test_a_combination_counts_what_is_built(head):
    chosen = explore.combination(head, "small_patch", 224, 5)
    built = ws.build_classifier("small_patch", head, 5, 224)
    assert (chosen.params, chosen.flops) == (ws.count_params(built), ws.count_flops(built))
    assert chosen.feature_shape == built.get_layer("features").output.shape[1:]
    tail = built.layers[[layer.name for layer in built.layers].index("features") + 1 :]
    assert chosen.head_params == sum(layer.count_params() for layer in tail)
    costs = chosen.costs().set_index("part")["parameters"].str.replace(",", "").astype(int)
    assert costs["backbone"] + costs["head"] == costs["whole model"] == chosen.params


def test_the_cells_that_a_head_looks_at_are_those_of_its_layer():
    wise, gap = (explore.combination(head, "small_patch", 224, 5) for head in ("wise", "gap"))
    layer = ws.layers.GlobalDepthwisePooling2D(depthwise_initializer="ones")
    layer.build((None, 7, 7, 1))
    np.testing.assert_array_equal(wise.seen, layer.position_weights(7, 7)[..., 0] > 0)
    assert "36 of 49 cells (73%)" in wise.looked_at()
    assert "13 of 49" in wise.looked_at()
    assert gap.seen.all()
    assert gap.looked_at() == "The head looks at all 49 cells of the 7×7 feature map."
    maps = [chosen.figure()[0].axes[1] for chosen in (wise, gap)]
    assert [sum(bool(patch.get_hatch()) for patch in ax.patches) for ax in maps] == [13, 0]
    for ax, chosen in zip(maps, (wise, gap), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), chosen.seen)
        assert ax.images[0].get_extent() == [-0.5, 6.5, 6.5, -0.5]


def test_every_printed_accuracy_is_found_and_every_printed_count_is_ours(monkeypatch):
    monkeypatch.setattr(explore, "_backbone_costs", costs_of_other_backbones)
    printed = ws.published().query("source == 'paper' and backbone != '' and head != ''")
    places = {study.table: study for study in ws.STUDIES.values() if study.table != "Table 1"}
    found = 0
    for (where, backbone, head), entries in printed.groupby(["where", "backbone", "head"]):
        size, classes = (224, 70) if where == "Table 1" else (places[where].image_size, places[where].classes)
        rows = explore.combination(head, backbone, size, classes).published()
        rows = rows[rows["where"] == where]
        assert list(rows["printed"]) == list(entries["value"])
        for row, entry in zip(rows.itertuples(), entries.itertuples(), strict=True):
            if entry.unit == "fraction" and row.what == "Top-1 accuracy":
                table = report.published_results(places[where].name).set_index(["backbone", "head"])
                assert row._5 == "95 % interval " + table.loc[(backbone, head), "95 % interval of top-1, computed here"]
            found += 1
    assert found == len(printed) > 100
    assert explore.combination("wise", "Xception", 512 - 32, 67).published().empty


def costs_of_other_backbones(backbone, image_size):
    """Stands in for backbones that take seconds to build, where only what is printed matters."""
    return (image_size // 32, image_size // 32, 8), 1, 1


def test_counts_stand_beside_the_printed_ones():
    rows = explore.combination("wise", "ResNet50", 224, 70).published().set_index("what")
    for unit in ("parameters", "GFLOPs"):
        assert rows.loc[unit, "printed"] == rows.loc[unit, "computed here"]
        assert rows.loc[unit, "where"] == "Table 1"
    assert set(rows["where"]) == {"Table 1", "Table 5"}
    assert explore.combination("wise", "ResNet50", 224, 71).published().empty
