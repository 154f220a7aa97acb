"""scale="paper" on trees that imitate the real datasets, defects included: one command away, and true in its record."""

import pytest
from trees import MOST, build_tree

import wisesr_helpers as ws
from wisesr_helpers.studies import experiment as module

STUDY_OF = {
    "sub_imagenet": {"study": "sub_imagenet_224"},
    "intel": {"study": "intel_224"},
    "mit": {"study": "mit_224"},
    "mnist": {"study": "deeper_networks", "dataset": "mnist"},
    "cifar10": {"study": "deeper_networks", "dataset": "cifar10"},
    "tiny_imagenet": {"study": "deeper_networks", "dataset": "tiny_imagenet"},
}


def one_epoch(name, folder, backbone="", image_size=None, per_class=(6, 3), **typed):
    """(tree, experiment, record) of one epoch at the paper's scale on an imitation with defects."""
    tree = build_tree(name, folder / "raw", per_class=per_class, classes=3, image_size=image_size, defects=0.01)
    experiment = ws.Experiment(
        **STUDY_OF[name] | typed,
        head="wise",
        backbone=backbone,
        scale="paper",
        epochs=1,
        data_dir=str(tree.root),
        runs_dir=str(folder / "runs"),
    )
    return tree, experiment, experiment.run()


def check(tree, experiment, record):
    assert record.status == "complete"
    assert record.photographs is True
    assert (record.train_images, record.test_images) == (tree.train, tree.test)
    left_out = sum(map(len, experiment.dataset.left_out.values()))
    planted = {
        reason: names
        for reason, names in tree.defects.items()
        if reason not in ("listed twice", "found under other case")
    }
    assert left_out == sum(map(len, planted.values())) > 0
    assert record.final["count"] == tree.test
    assert record.params == ws.count_params(experiment.build())
    assert record.execution["command"].startswith("papermill notebooks/")
    assert "-p scale paper" in record.execution["command"]
    assert f"-p data_dir {tree.root}" in record.execution["command"]


@pytest.mark.parametrize("name", MOST)
def test_an_epoch_on_each_dataset(name, tmp_path):
    check(*one_epoch(name, tmp_path, "small_conv", None if name in ("mnist", "cifar10") else 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", MOST)
def test_an_epoch_on_each_dataset_with_the_studys_own_backbone(name, tmp_path):
    tree, experiment, record = one_epoch(name, tmp_path)
    check(tree, experiment, record)
    assert record.backbone == experiment.spec.study.backbones[0]


@pytest.mark.slow
def test_an_epoch_at_512(tmp_path):
    options = {"weights": "none", "accumulate": 15}  # one image at a time: 15 at once need several gigabytes
    tree, experiment, record = one_epoch("mit", tmp_path, per_class=(5, 2), study="mit_512", options=options)
    check(tree, experiment, record)
    assert list(record.image_size) == [512, 512]
    assert list(record.feature_map)[:2] == [16, 16]
    assert record.identity.startswith("mit_512--paper--Xception--wise--s0--")  # the cut is in the name


def test_the_second_run_decodes_nothing(tmp_path, monkeypatch):
    one_epoch("mit", tmp_path, "small_conv", 64)
    decode = "wisesr_helpers.data.prepare._decode_entry"
    monkeypatch.setattr(decode, lambda *_: pytest.fail("an image was decoded again"))
    again = ws.Experiment(
        "mit_224",
        "gap",
        "small_conv",
        "paper",
        epochs=1,
        data_dir=str(tmp_path / "raw"),
        runs_dir=str(tmp_path / "runs"),
    )
    assert again.run().status == "complete"


def test_auto_is_paper_only_if_prepared_and_with_an_accelerator(tmp_path, monkeypatch):
    monkeypatch.delenv("WISESR_SCALE")
    tree = build_tree("mit", tmp_path, per_class=(2, 2), classes=2, image_size=64)

    def chosen(**typed):
        spec = ws.Experiment("mit_224", data_dir=str(tree.root), **typed).spec
        return spec.parameters.scale, spec.reason

    scale, reason = chosen()
    assert (scale, "is not prepared on this machine" in reason) == ("demo", True)
    ws.load_dataset("mit", 224, tree.root)
    scale, reason = chosen()
    assert (scale, "but no accelerator" in reason) == ("demo", True)
    monkeypatch.setattr(module, "accelerators", lambda: ["gpu:0"])
    scale, reason = chosen()
    assert (scale, "there is gpu:0" in reason) == ("paper", True)
    assert chosen(scale="demo")[0] == "demo"


def test_an_option_that_is_the_default_makes_no_other_run(tmp_path):
    def identity(options):
        return ws.Experiment("mit_224", options=options, runs_dir=str(tmp_path)).parameters.identity

    plain = identity(None)
    assert identity({"convention": "keras_preprocessing_1_1", "weights": "none", "strict": False}) == plain
    assert identity({"convention": "keras3"}) != plain
    assert identity({"resample": "bilinear"}) != plain
