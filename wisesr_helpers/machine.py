"""What this process may use of its machine."""

import os


def usable_cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def devices():
    """Names of the devices that Keras' backend computes on: "cpu:0", "gpu:0", …."""
    from wisesr_helpers._keras import keras

    if keras.backend.backend() != "torch":
        return keras.distribution.list_devices()
    import torch

    return [f"gpu:{k}" for k in range(torch.cuda.device_count())] or ["cpu:0"]  # Keras doesn't list torch's
