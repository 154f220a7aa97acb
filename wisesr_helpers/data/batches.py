"""Batches of a split, for training: uint8 images, in an order and augmented as functions of (seed, epoch, index)."""

import concurrent.futures
import functools
import threading

import numpy as np

from wisesr_helpers.data.augment import apply_transform
from wisesr_helpers.data.images import write_rgb
from wisesr_helpers.storage import usable_cores

TASK = 4  # images a thread takes at once: handing over costs, and a batch should occupy all threads


class Batches:
    """The training split, shuffled and augmented anew for every epoch.

    Nothing random is kept: the order of an epoch is a function of (seed, epoch), an image's augmentation of
    (seed, epoch, its index in the split), whatever the number of threads. Whoever trains sets ``epoch`` before
    each one. While the model works on one batch, the threads prepare the next.

    Args:
        split: A ``Split``.
        batch_size: Images per batch; the last one may be smaller.
        seed: Of order and augmentation.
        epoch: The epoch, counted from 0.
        augmentation: An ``Augmentation``, or None to take the images as they are.
        threads: That prepare images; None: as many as this process may use cores.
        parts: That each batch is delivered in, for gradient accumulation: as equal as can be, and as many for the
            last, smaller batch, whose images are repeated if they are fewer than that.
    """

    def __init__(self, split, batch_size, seed, epoch=0, augmentation=None, threads=None, parts=1):
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.augmentation = augmentation
        self.parts = parts
        self._pool = _pool(threads or usable_cores())
        self._ahead = {}  # (epoch, index) → batch in preparation; only ever the one that comes next
        self._lock = threading.Lock()

    def __len__(self):
        return -(-len(self.split) // self.batch_size) * self.parts

    def __getitem__(self, index):
        """Batch ``index``, or part ``index`` of all batches: images uint8 (n, H, W, 3), labels (n,)."""
        with self._lock:
            epoch = self.epoch
            prepared = self._ahead.pop((epoch, index), None) or self._prepare(epoch, index)
            self._ahead = {}
            if index + 1 < len(self):
                self._ahead[epoch, index + 1] = self._prepare(epoch, index + 1)
        images, labels, futures = prepared
        for future in futures:
            future.result()
        return images, labels

    def indices(self, epoch, index):
        """Indices in the split of the images of batch or part ``index`` of an epoch, int array (n,)."""
        order = _order(self.seed, epoch, len(self.split))
        batch, part = divmod(index, self.parts)
        chosen = np.sort(order[batch * self.batch_size : (batch + 1) * self.batch_size])  # mapped files like order
        if len(chosen) < self.parts:
            chosen = np.resize(chosen, self.parts)
        return np.array_split(chosen, self.parts)[part]

    def _prepare(self, epoch, index):
        chosen = self.indices(epoch, index)
        images = np.empty((len(chosen), *self.split.size, 3), np.uint8)
        work = [
            self._pool.submit(self._fill, images[start : start + TASK], epoch, chosen[start : start + TASK].tolist())
            for start in range(0, len(chosen), TASK)
        ]
        return images, self.split.labels[chosen], work

    def _fill(self, places, epoch, indices):
        for place, i in zip(places, indices, strict=True):
            self.augmented(i, epoch, place)

    def augmented(self, i, epoch, out=None):
        """Image ``i`` of the split as epoch ``epoch`` shows it: uint8 (H, W, 3), written to ``out`` if given."""
        image = self.split.image(i)
        out = np.empty((*image.shape[:2], 3), np.uint8) if out is None else out
        if self.augmentation is None:
            return write_rgb(image, out)
        params = self.augmentation.draw(np.random.default_rng([self.seed, epoch, i]), *image.shape[:2])
        return apply_transform(image, params, self.augmentation.convention, out=out)


@functools.cache
def _pool(threads):
    return concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="wisesr-batches")


@functools.lru_cache(maxsize=2)
def _order(seed, epoch, count):
    return np.random.default_rng([seed, epoch]).permutation(count)
