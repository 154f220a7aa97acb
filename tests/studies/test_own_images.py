"""The notebook of one's own images: where a classifier is kept."""

import pytest

from wisesr_helpers.studies import own_images


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("best", ValueError, "ends with .keras, such as 'best.keras'; received 'best'"),
        ("best.h5", ValueError, "ends with .keras"),
        ("folder.keras", ValueError, "ends with .keras"),
        ("new/best.keras", OSError, "there is no folder 'new'"),
    ],
)
def test_where_a_classifier_can_not_be_kept_is_said_before_it_is_trained(path, kind, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(kind, match=said):
        own_images.check_model_path(path)
    assert own_images.check_model_path("") is None
    assert own_images.check_model_path("best.keras").name == "best.keras"
