"""Speed of pooling layers alone, forward and backward, beside the authors' layers and GAP, in one run.

    python benchmarks/heads.py

Prints medians in milliseconds and ratios, and writes them to results/benchmarks/heads.json with the
machine's description.
"""

import json
import pathlib
import platform
import statistics
import time

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.layers import GlobalDepthwisePooling2D
from wisesr_helpers.runs import environment

OUT = pathlib.Path(__file__).resolve().parent.parent / "results" / "benchmarks" / "heads.json"
CASES = [  # height = width, channels, pool, batch: the paper's Tables 4 and 8
    (16, 2048, 3, 15),
]
ROUNDS, WARM_UP = 25, 3


def seeds_layers(side, pool_size):
    """The layers of the authors' README."""
    return [
        keras.layers.AveragePooling2D(pool_size, padding="valid"),
        keras.layers.DepthwiseConv2D(side // pool_size, depthwise_constraint="non_neg"),
        keras.layers.Flatten(),
    ]


def contestants(side, pool_size):
    """Name → layers."""
    return {
        "gap": [keras.layers.GlobalAveragePooling2D()],
        "seeds": seeds_layers(side, pool_size),
        "wise": [GlobalDepthwisePooling2D(pool_size)],
    }


def step_of(layers, x):
    """A compiled forward and backward pass through ``layers``: gradients of the input and of every weight."""
    import tensorflow as tf

    model = keras.Sequential(layers)
    model(x)
    weights = model.trainable_variables

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(model(x) ** 2)
        return tape.gradient(loss, [x, *[weight.value for weight in weights]])

    return step


def measure(steps):
    """Median milliseconds of each step; the rounds alternate, so that a slow moment hits all alike."""
    times = {name: [] for name in steps}
    for round_ in range(WARM_UP + ROUNDS):
        for name, step in steps.items():
            began = time.perf_counter()
            _ = [np.asarray(gradient[..., :1]) for gradient in step()]
            if round_ >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    """Measure every case, print it, write it."""
    import tensorflow as tf

    rows = []
    for side, channels, pool_size, batch in CASES:
        x = tf.random.stateless_normal((batch, side, side, channels), seed=(0, 0))
        medians = measure({name: step_of(layers, x) for name, layers in contestants(side, pool_size).items()})
        row = {
            "map": [side, side, channels],
            "pool_size": pool_size,
            "batch": batch,
            "milliseconds": {name: round(value, 2) for name, value in medians.items()},
            "wise, times as fast as the seeds": round(medians["seeds"] / medians["wise"], 2),
            "wise, times GAP's time": round(medians["wise"] / medians["gap"], 2),
        }
        rows.append(row)
        print(json.dumps(row))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": {"processor": platform.processor() or platform.machine(), **environment()}, "rows": rows}
    OUT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
