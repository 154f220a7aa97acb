"""Which behaviour the code has: whole numbers, raised by hand when a change alters results.

Records, caches and stored notebooks keep the numbers they were made with, and are current while those are today's.
Golden tests (``tests/test_versions.py``) notice a changed result and say which number to raise.
"""

VERSIONS = {
    "layers": 1,  # what heads and small backbones compute, and the weights they start from
    "scenes": 1,  # pixels and labels of the embedded images
    "augment": 1,  # pixels of an augmented image, and the parameters drawn for it
    "decode": 1,  # pixels of a decoded and resized photograph
    "training": 1,  # order of the images, optimiser, schedule, evaluation
}


def behaviour(photographs):
    """The versions, name → number, that a run on photographs, or else on embedded images, depends on."""
    data = "decode" if photographs else "scenes"
    return {name: VERSIONS[name] for name in ("layers", data, "augment", "training")}


def are_current(versions):
    """Whether a mapping of names to versions holds today's numbers; an empty one or None holds none."""
    return bool(versions) and all(VERSIONS.get(name) == version for name, version in versions.items())
