"""Saved models load with Keras' own ``load_model`` once ``wisesr_helpers`` is imported, before Keras or after it.

Keras builds a layer of another package only if that package has told it the class. The classes need Keras
themselves, and importing this package must not load it; so Keras is told, as soon as it is there, who builds
them, and their modules are imported when a file asks for the first of them.
"""

import importlib
import sys

PACKAGE = __name__.partition(".")[0]
# Module → its classes that stand in files; a test compares this with what the modules register.
LAYERS = {
    "layers.pooling": (
        "BlockAveragePooling2D",
        "GlobalDepthwisePooling2D",
        "GlobalWeightedAveragePooling2D",
        "SharedPositionPooling2D",
    ),
    "layers.preprocessing": ("ImageNetPreprocessing",),
    "layers.reductions": ("FixedReduction2D",),
}


class _Builder:
    """Stands for a class among Keras' custom objects, until its module registers the class itself."""

    def __init__(self, module, name):
        self.module = module
        self.name = name

    def from_config(self, config):
        """The layer of that configuration, as the class' own ``from_config`` builds it."""
        return getattr(importlib.import_module(f"{PACKAGE}.{self.module}"), self.name).from_config(config)


def _register():
    known = sys.modules["keras"].saving.get_custom_objects()
    for module, names in LAYERS.items():
        for name in names:
            known.setdefault(f"{PACKAGE}>{name}", _Builder(module, name))


class _KerasFinder:
    """Finds Keras as the other finders do, and has the layers registered when it has been imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):  # a folder named "keras" has no loader
            spec.loader = _KerasLoader(spec.loader, self)
        return spec


class _KerasLoader:
    def __init__(self, loader, finder):
        self.loader = loader
        self.finder = finder

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader  # nobody but the import itself meets this one
        self.loader.exec_module(module)  # if it fails, the finder waits for another attempt
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        _register()


def tell_keras():
    """Register the project's layers with Keras: now if it is imported, else when it will be."""
    keras = sys.modules.get("keras")
    if hasattr(keras, "saving"):
        _register()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())
