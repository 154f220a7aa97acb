"""Batches of a split, for ``fit``: uint8 images, in an order that is a function of (seed, epoch)."""

import numpy as np

from wisesr_helpers._keras import keras


class Batches(keras.utils.PyDataset):
    """The training split, shuffled anew for every epoch.

    Nothing random is kept: the order of an epoch is a function of (seed, epoch) alone. Whoever trains sets
    ``epoch`` before each one: Keras calls its own hooks once more than there are epochs.

    Args:
        split: A ``Split``.
        batch_size: Images per batch; the last one may be smaller.
        seed: Of the order.
        epoch: The epoch, counted from 0.
    """

    def __init__(self, split, batch_size, seed, epoch=0):
        super().__init__()
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch

    def __len__(self):
        return -(-len(self.split) // self.batch_size)

    def __getitem__(self, index):
        """Batch ``index``: images uint8 (n, H, W, 3), labels (n,)."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.split))
        chosen = np.sort(order[index * self.batch_size : (index + 1) * self.batch_size])  # mapped files like order
        return self.split.rgb(chosen), self.split.labels[chosen]
