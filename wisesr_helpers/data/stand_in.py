"""A folder of embedded scenes as image files, where a reader has no images of their own at hand: no photographs."""

import atexit
import dataclasses
import functools
import os
import pathlib
import shutil
import tempfile

from wisesr_helpers.data.folders import SCENES
from wisesr_helpers.data.scenes import MIN_IMAGE_SIZE, class_pairs, draw_scenes

CLASSES = 2
# Scale → (training, test, new) scenes.
COUNTS = {"demo": (800, 300, 4), "smoke": (24, 16, 4)}


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """What a comparison is made on.

    Attributes:
        folder: Folder or CSV of images by class.
        new: Images to predict: a path; None: none were given.
        cache: Where what is computed of them is kept; None: the per-user cache folder.
    """

    folder: object
    new: object
    cache: object


def own_or_stand_in(folder="", new_images="", image_size=224, scale="auto"):
    """The reader's own images, or a stand-in of embedded scenes in a temporary folder.

    Args:
        folder: Of images by class, as :func:`wisesr_helpers.data.folders.check_folder` takes it; empty: the stand-in.
        new_images: Path of images to predict.
        image_size: Side of the scenes in pixels, at least 192; default 224.
        scale: How many scenes the stand-in has: "demo", "smoke", or "auto" (``WISESR_SCALE``, else "demo").

    Returns:
        Images. The stand-in goes with this process.

    Raises:
        FileNotFoundError: There is nothing at ``folder`` or at ``new_images``.
        ValueError: An unknown scale, or too small an image size for scenes.
    """
    asked = os.environ.get("WISESR_SCALE", "demo") if scale == "auto" else scale
    if asked not in ("auto", *COUNTS):
        raise ValueError(f"Unknown scale '{asked}'. Valid here: auto, {', '.join(COUNTS)}.")
    for path in filter(None, (folder, new_images)):
        if not pathlib.Path(path).expanduser().exists():
            raise FileNotFoundError(f"There is no folder or file '{path}'. Give another path, or leave it empty.")
    if folder:
        return Images(pathlib.Path(folder).expanduser(), new_images or None, None)
    if image_size < MIN_IMAGE_SIZE:
        raise ValueError(f"The stand-in needs image_size={MIN_IMAGE_SIZE} or more; received {image_size}.")
    made = _made(image_size, *COUNTS["demo" if asked == "auto" else asked])
    return Images(made / "embedded_scenes", new_images or made / "new", made / "cache")


def default_backbone(folder=""):
    """The backbone of a comparison that names none.

    Args:
        folder: The reader's own images; empty: the stand-in.

    Returns:
        "small_conv" for images; "small_patch" for the stand-in, whose point is what a head does by itself.
    """
    return "small_conv" if folder else "small_patch"


def write_scenes(folder, image_size, train, test, new=0, seed=0):
    """Write embedded scenes as PNG files: "embedded_scenes/train/<class>", ".../test/<class>", and "new".

    Args:
        folder: Where; made if missing.
        image_size: Side in pixels, at least 192.
        train: Number of training scenes; the two classes take turns.
        test: Number of test scenes, from handwriting that no training scene holds.
        new: Number of scenes like the test ones, in none of the splits; their names say their class.
        seed: Every scene is a function of (seed, split, index).
    """
    from PIL import Image

    folder, pairs = pathlib.Path(folder), class_pairs(CLASSES)
    names = [f"{a} inside, {b} outside" for a, b in pairs]
    drawn = {"train": draw_scenes(pairs, image_size, "train", train, seed)}
    drawn["test"] = draw_scenes(pairs, image_size, "test", test + new, seed)
    for split, scenes in drawn.items():
        for index, scene in enumerate(scenes):
            name = names[index % CLASSES]
            path = folder / "embedded_scenes" / split / name / f"{index:04d}.png"
            if split == "test" and index >= test:
                path = folder / "new" / f"{name} {index - test}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scene).save(path, compress_level=1)
    (folder / "embedded_scenes" / SCENES).touch()


@functools.cache
def _made(*counts):
    """A temporary folder with scenes; removed when the process ends."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wisesr-own-images-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_scenes(folder, *counts)
    return folder
