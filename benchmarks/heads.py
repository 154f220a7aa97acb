"""Speed of the poolings alone, forward and backward, beside the authors' layers and GAP, in one run.

    python benchmarks/heads.py

Prints medians in milliseconds and ratios, says whether each promise holds, and writes everything to
results/benchmarks/heads.json with the machine's description and the versions of the measured code, from
which the book sees when the code has changed since. The authors' layers are those of the same
design: without pre-averaging beside "depthwise", with it beside the others.
"""

import json
import statistics
import time

import report
import tensorflow as tf

from wisesr_helpers._keras import keras
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.published import number, printed

ROUNDS, WARM_UP = {False: 21, True: 7}, 2  # with XLA the authors' layers take seconds a step


def sizes(where, row, column):
    """The numbers of a printed size: "16×16×2048" → [16, 16, 2048]."""
    return [int(size) for size in printed(where, row, column).split("×")]


def cases():
    """(height and width, channels, pool, batch) of every case: the paper's feature maps, pools and batches."""
    found = []
    for image, more in (("224×224", []), ("512×512", [int(number("Section 3.3", "DenseNet201", "Channels"))])):
        side, _, channels = sizes("Section 3.3", f"Xception at {image}", "Feature map size")
        pool_size, _ = sizes("Section 2.4", f"images of {image}", "Pool size")
        batch = int(number("Section 3.3", f"at {image}", "Batch Size"))
        found += [(side, each, pool, batch) for each in (channels, *more) for pool in (1, pool_size)]
    return found


def contestants(side, channels, pool_size):
    """Name → layers, without classifier."""
    shape = (side, side, channels)
    ours = ["gap", "wise", "avg_fc", "gwap"] if pool_size > 1 else ["gap", "depthwise", "gwap"]
    named = {}
    for head in ours:
        pool = {"pool_size": pool_size} if head in ("wise", "avg_fc") else {}
        named[head] = head_layers(head, shape, 2, **pool)[:-1]
    pooling = [keras.layers.AveragePooling2D(pool_size, padding="valid")] if pool_size > 1 else []
    kernel = keras.layers.DepthwiseConv2D(side // pool_size)
    return {"authors": [*pooling, kernel, keras.layers.Flatten()], **named}


def step_of(layers, x, xla):
    """A compiled forward and backward pass: the gradients of the input and of every weight."""
    model = keras.Sequential(layers)
    model(x)
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function(jit_compile=xla)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = model(x)
            loss = tf.reduce_sum(outputs * outputs)
        return tape.gradient(loss, [x, *weights])

    return step


def measure(steps, rounds):
    """Milliseconds of each step in every round; the rounds alternate, so that a slow moment hits all alike."""
    times = {name: [] for name in steps}
    for round_ in range(WARM_UP + rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()[0][0, 0, 0, 0].numpy()
            if round_ >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - began))
    return times


def promises(large, pool_size, medians, unpooled):
    """What is promised of the project's poolings: (promise, ratio measured, whether it holds).

    Args:
        large: Whether the feature map is the larger one.
        pool_size: Of the case.
        medians: Milliseconds of the case.
        unpooled: Milliseconds of the authors' layers without pre-averaging on the same map; "gwap" averages
            no blocks, so it is held against these.
    """
    for head in medians:
        if head in ("gap", "authors"):
            continue
        pooled = pool_size > 1 and head != "gwap"
        faster = (medians if pooled or pool_size == 1 else unpooled)["authors"] / medians[head]
        least = 4 if large else 1 / 1.2 if pooled else 3
        yield f"{head}: at least {least:.2f} times as fast as the authors' layers", faster, faster >= least
        if pooled:
            slower = medians[head] / medians["gap"]
            yield f"{head}: at most 2 times GAP's time", slower, slower <= 2


def main():
    """Measure every case with and without XLA, print it, write it."""
    rows, chosen = [], cases()
    larger = max(side for side, *_ in chosen)
    for xla in (False, True):
        unpooled = {}
        for side, channels, pool_size, batch in chosen:
            x = tf.random.stateless_normal((batch, side, side, channels), seed=(0, 0))
            named = contestants(side, channels, pool_size)
            times = measure({name: step_of(layers, x, xla) for name, layers in named.items()}, ROUNDS[xla])
            medians = {name: statistics.median(values) for name, values in times.items()}
            unpooled = medians if pool_size == 1 else unpooled
            kept = [
                {"promise": promise, "measured": round(ratio, 2), "holds": holds}
                for promise, ratio, holds in promises(side == larger, pool_size, medians, unpooled)
            ]
            rows.append(
                {
                    "map": [side, side, channels],
                    "pool_size": pool_size,
                    "batch": batch,
                    "xla": xla,
                    "milliseconds": {name: round(value, 2) for name, value in medians.items()},
                    "beside_the_authors": {
                        name: report.ratio(times["authors"], values)
                        for name, values in times.items()
                        if name not in ("gap", "authors")
                    },
                    "promises": kept,
                }
            )
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    report.write(report.FOLDER / "heads.json", rows)


if __name__ == "__main__":
    main()
