"""The project's Keras layers; importing this registers them with Keras. Imports the ground floor only."""

from wisesr_helpers.layers.blocks import global_depthwise_pool
from wisesr_helpers.layers.pooling import (
    BlockAveragePooling2D,
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.preprocessing import ImageNetPreprocessing, PatchEmbedding2D
from wisesr_helpers.layers.reductions import FixedReduction2D

__all__ = [
    "BlockAveragePooling2D",
    "FixedReduction2D",
    "GlobalDepthwisePooling2D",
    "GlobalWeightedAveragePooling2D",
    "ImageNetPreprocessing",
    "PatchEmbedding2D",
    "SharedPositionPooling2D",
    "global_depthwise_pool",
]
