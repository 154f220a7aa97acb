"""Speed of the input pipeline beside the authors' ``ImageDataGenerator``, on the same JPEG files, in one run.

    python benchmarks/pipeline.py

Every contestant delivers augmented batches of the paper's size (Tables 3, 4 and 8); rounds alternate, medians
count. Memory is that of a process of its own, which prepares, loads and reads those files, and ten times as many
(memory.py). Prints images a second, ratios, MiB, and whether each promise holds, and writes everything to
results/benchmarks/pipeline.json with the machine's description.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import pathlib
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import memory
import numpy as np
import pandas as pd
import report
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from wisesr_helpers._keras import keras
from wisesr_helpers.data._cv2 import cv2
from wisesr_helpers.data.augment import IDENTITY, affine_matrix, colour_map
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Split
from wisesr_helpers.data.listings import Entry, Listing
from wisesr_helpers.data.prepare import PreparedImages, prepare
from wisesr_helpers.storage import usable_cores
from wisesr_helpers.studies.grid import STUDIES
from wisesr_helpers.training.recipes import TABLE_3

STUDY_OF = {"Table 4": "mit_224", "Table 8": "mit_512"}  # table of a recipe → study
LEVELS = np.arange(256, dtype=np.float32)
# As many times the files whose memory is measured. At the larger size, 6,000 prepared images are 5 GB of disk.
TIMES = {"Table 4": (1, 10), "Table 8": (1,)}
# promise → at least this, by image size
LEAST = {
    "ours / authors": {224: 15, 512: 20},
    "ours / Keras' random layers": {224: 5, 512: 5},
    "ours / bare warp and look-up": {224: 0.75, 512: 0.75},
    "our first epoch, decoding included / authors, in turn with it": {224: 8, 512: 8},
}


def write_photographs(folder, count, side):
    """``count`` JPEG files made of scikit-learn's photographs, a fifth larger than ``side`` and not square."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    entries = []
    for k in range(count):
        photograph = photographs[k % 2]
        left, top = int(rng.integers(0, 200)), int(rng.integers(0, 130))
        crop = photograph.crop((left, top, left + 420, top + 290)).resize((side * 13 // 10, side * 11 // 10))
        crop.save(folder / f"{k:05}.jpg", quality=90)
        entries.append(Entry(f"{k:05}.jpg", k % 2))
    return entries


def authors(folder, entries, side, batch):
    """The authors' pipeline: an endless iterator of batches."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    drawn = dataclasses.replace(TABLE_3, convention="keras3")
    ranges = {field: value for field, value in dataclasses.asdict(drawn).items() if field != "convention"}
    generator = ImageDataGenerator(
        preprocessing_function=keras.applications.imagenet_utils.preprocess_input,
        **ranges,
    )
    table = pd.DataFrame({"filename": [entry.path for entry in entries], "class": [str(e.label) for e in entries]})
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how many it found
        return generator.flow_from_dataframe(table, str(folder), target_size=(side, side), batch_size=batch)


def keras_layers(images, batch):
    """Keras' own random layers in tf.data, on decoded images that are kept in memory."""
    augment = keras.Sequential(
        [
            keras.layers.RandomFlip(),
            keras.layers.RandomRotation(1.0, fill_mode="nearest"),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
            keras.layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), fill_mode="nearest"),
            keras.layers.RandomBrightness(0.2, value_range=(0, 255)),
        ]
    )
    data = tf.data.Dataset.from_tensor_slices(images).repeat().batch(batch)
    data = data.map(lambda x: augment(tf.cast(x, tf.float32), training=True), num_parallel_calls=tf.data.AUTOTUNE)
    return iter(data.prefetch(tf.data.AUTOTUNE))


def bare(batches, epoch):
    """Images a second of nothing but ``cv2.warpAffine`` and one look-up an image, on as many threads as ours.

    Before the clock starts, all else is made ready: every image's work, and an array a thread to warp into. The threads
    take image after image from one list, so nothing is handed over. What is looked up goes to a new batch, as ours,
    since who was given the one before may still have it.
    """
    work, threads = bare_work(batches, epoch), usable_cores()
    delivered, shape = {}, (batches.batch_size, *batches.split.size, 3)

    def place(k, slot):
        images = delivered.get(k)
        if images is None:
            images = delivered.setdefault(k, np.empty(shape, np.uint8))
            delivered.pop(k - 2, None)
        return images[slot]

    def share(some):
        warped = np.ones(shape[1:], np.uint8)
        for image, matrix, table, k, slot in some:
            cv2.LUT(warp(image, matrix, warped), table, dst=place(k, slot))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, [work[:1]] * threads))  # starts them
        began, left = time.perf_counter(), iter(work)
        list(pool.map(share, [left] * threads))
        return len(work) / (time.perf_counter() - began)


def bare_work(batches, epoch):
    """Of each image of an epoch of ours, in its order and as drawn there: image, matrix, table, batch, place in it."""
    size, drawn, work = batches.split.size, batches.augmentation, []
    for k in range(len(batches)):
        for slot, i in enumerate(batches.indices(epoch, k).tolist()):
            image = batches.split.image(i)
            params = IDENTITY | drawn.draw(np.random.default_rng([batches.seed, epoch, i]), *size)
            matrix = affine_matrix(params, *size, drawn.convention)
            warped = warp(image, matrix)
            table = colour_map(LEVELS, warped.min(), warped.max(), params, drawn.convention)
            work.append((image, matrix, table, k, slot))
    return work


def warp(image, matrix, out=None):
    """The warp, with the flags of ours."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, image.shape[1::-1], dst=out, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def rate(batches, images):
    """Images a second of an iterator of batches, over about ``images`` of them."""
    next(batches)
    began, seen = time.perf_counter(), 0
    for batch in batches:
        seen += len(batch[0] if isinstance(batch, tuple) else batch)
        if seen >= images:
            return seen / (time.perf_counter() - began)


def an_epoch(batches, epoch):
    """Images a second over one epoch of ours."""
    batches.epoch = epoch
    began = time.perf_counter()
    seen = sum(len(batches[k][0]) for k in range(len(batches)))
    return seen / (time.perf_counter() - began)


def first_epoch(listing, side, recipe):
    """Images a second of the first epoch: every file decoded, prepared and augmented once."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        split = prepared(listing, side, folder)
        batches = Batches(split, recipe.batch_size, 0, augmentation=recipe.augmentation)
        seen = sum(len(batches[k][0]) for k in range(len(batches)))
        return seen / (time.perf_counter() - began)


def prepared(listing, side, folder):
    """The training split of a listing, prepared."""
    with contextlib.redirect_stdout(io.StringIO()):
        lines = prepare(listing, (side, side), folder)["train"]
    return as_split(lines, side, folder)


def as_split(lines, side, folder):
    """A prepared split, from its account."""
    images = PreparedImages(pathlib.Path(folder) / "train.images", [tuple(line["shape"]) for line in lines])
    return Split(images, np.array([line["label"] for line in lines]), "", (side, side))


def measure(table, rounds, count, folder):
    """One image size: images a second of every contestant, their ratios round by round, and memory."""
    study = STUDIES[STUDY_OF[table]]
    recipe, side = study.recipe, study.image_size
    folder = folder / str(side)
    folder.mkdir()
    entries = write_photographs(folder, count, side)
    listing = Listing(folder, ("0", "1"), tuple(entries), (entries[0],), {})
    split = prepared(listing, side, folder / "prepared")
    ours = Batches(split, recipe.batch_size, 0, augmentation=recipe.augmentation)
    theirs = authors(folder, entries, side, recipe.batch_size)
    some = split.rgb(np.arange(min(count, 100)))
    few = max(2 * recipe.batch_size, count // 8)
    rates = {}
    contestants = {
        "ours": lambda epoch: an_epoch(ours, epoch),
        "authors": lambda _: rate(iter(theirs), few),
        "Keras' random layers": lambda _: rate(keras_layers(some, recipe.batch_size), few),  # anew, or it would run on
        "bare warp and look-up": lambda epoch: bare(ours, epoch),
    }
    # By themselves: a first epoch writes, and on a virtual machine that hands unused memory back to its host it would
    # wait for what Keras' layers have used and given back before.
    writing = {
        "authors, in turn with it": lambda _: rate(iter(theirs), few),
        "our first epoch, decoding included": lambda _: first_epoch(listing, side, recipe),
    }
    for turn in (contestants, writing):
        for epoch in range(rounds):
            theirs.reset()
            for name, contestant in turn.items():
                rates.setdefault(name, []).append(contestant(epoch))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    with ThreadPoolExecutor(2) as workers:
        numbers = (k % len(theirs) for k in range(2 + few // recipe.batch_size + 1))
        medians["authors, two workers"] = rate(workers.map(theirs.__getitem__, numbers), few)
    ratios = {name: report.ratio(*(rates[each] for each in name.split(" / "))) for name in LEAST}
    return side, recipe.batch_size, medians, ratios, [memory_of(folder, entries, side, recipe, n) for n in TIMES[table]]


def memory_of(folder, entries, side, recipe, times):
    """Memory of a process that reads ``times`` as many files."""
    dataset = folder / f"{times}-fold"
    memory.lay_out(folder, entries, dataset, times)
    epochs, most = memory.watched(dataset, side, recipe.batch_size)
    shutil.rmtree(dataset)
    return {"files": times * len(entries), "mib_before_and_after_each_epoch": epochs, "mib_at_most": most}


def promises(side, medians):
    """(promise, ratio measured, at least, whether it holds)."""
    for promise, least in LEAST.items():
        ours, other = promise.split(" / ")
        ratio = medians[ours] / medians[other]
        yield {
            "promise": f"{promise}: at least {least[side]}",
            "measured": round(ratio, 2),
            "holds": ratio >= least[side],
        }


def main():
    """Measure both sizes, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=600, help="JPEG files of each size")
    parser.add_argument("--out", type=pathlib.Path, default=report.FOLDER / "pipeline.json")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for table in STUDY_OF:
            side, batch, medians, ratios, mib = measure(table, options.rounds, options.images, pathlib.Path(folder))
            rows.append(
                {
                    "image_size": side,
                    "batch": batch,
                    "files": options.images,
                    "images_per_second": {name: round(value, 1) for name, value in medians.items()},
                    "ratios": ratios,
                    "memory": mib,
                    "promises": [*promises(side, medians), *memory.promises(mib)],
                }
            )
            print(json.dumps(rows[-1], indent=1), flush=True)
    report.write(options.out, rows)


if __name__ == "__main__":
    main()
