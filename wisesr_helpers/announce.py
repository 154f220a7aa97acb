"""What a run will do, in the words that its notebook prints first."""

from wisesr_helpers import progress
from wisesr_helpers.backbones import SMALL
from wisesr_helpers.choices import accelerators
from wisesr_helpers.data.digits import SIDE as DIGIT
from wisesr_helpers.studies import DEMO_NOTE, STUDIES, get_study


def announce(experiment, notebook=""):
    """Print what was chosen, why, and how to start the paper's scale.

    Args:
        experiment: Experiment.
        notebook: Name of the notebook that announces several runs of a study; empty: the study's own.
    """
    print(f"Scale: {experiment.scale}{f' ({DEMO_NOTE})' if experiment.plan else ''}; {experiment.reason}.")
    print(_data(experiment))
    print(f"Model: {experiment.backbone} + {experiment.head.name} ({experiment.head.description}).")
    print(_recipe(experiment.recipe))
    if experiment.recipe.augmentation is not None:
        print(describe_augmentation(experiment.recipe.augmentation))
    if experiment.plan and experiment.backbone in SMALL:
        minutes = experiment.plan.minutes * experiment.recipe.epochs / experiment.plan.recipe.epochs
        print(f"Time: about {progress.duration(60 * minutes)} on two cores.")
    else:
        print("Time: estimated after the first steps.")
    if experiment.plan:
        print(_paper_scale(experiment, notebook))


def _paper_scale(experiment, notebook):
    """How to start the paper's scale; for the embedded digits, that of the first of the study's other datasets."""
    dataset = experiment.parameters.dataset
    if not experiment.study.source:
        dataset = next(name for name, other in STUDIES[experiment.study.name].datasets.items() if other.source)
    study, head = get_study(experiment.study.name, dataset), experiment.head.name
    which = f"-p dataset {dataset} " if dataset else ""
    if notebook:
        which += f"-p study {study.name} "
    elif head != study.head_for(experiment.backbone):
        which += f"-p head {head} "
    return (
        f"The paper's scale ({study.dataset}, {study.backbones[0]}, {study.recipe.epochs} epochs, a GPU):\n"
        f"  python -m wisesr_helpers.data fetch {study.source}\n"
        f"  papermill notebooks/{notebook or study.name}.ipynb runs/out.ipynb {which}-p scale paper"
    )


def _data(experiment):
    side, plan = experiment.image_size, experiment.plan
    if plan is None:
        return f"Data: {experiment.study.dataset}, as images of {side}×{side} pixels."
    if plan.data == "digits":
        instead = f" They stand in for {experiment.study.dataset}." if experiment.study.source else ""
        return (
            f"Data: {plan.train:,} + {plan.test:,} of scikit-learn's handwritten digits in {plan.classes} classes, "
            f"real ones of {DIGIT}×{DIGIT} pixels, enlarged to {side}×{side}; no photographs.{instead}"
        )
    return (
        f"Data: {plan.train} + {plan.test} embedded scenes of {side}×{side} pixels in {plan.classes} classes, drawn "
        "from scikit-learn's handwritten digits; no photographs."
    )


def _recipe(recipe):
    every = "epoch" if recipe.decay_epochs == 1 else f"{recipe.decay_epochs} epochs"
    rate = f"learning rate {recipe.learning_rate}"
    rate += f" × {recipe.decay_rate} every {every}" if recipe.decay_rate != 1 else ""
    optimizer = "Adam" if recipe.momentum is None else f"SGD with momentum {recipe.momentum}"
    weights = recipe.weights or "random"
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    augmented = "" if recipe.augmentation else ", no augmentation"
    computed = "" if recipe.precision == "float32" else f", computed in {recipe.precision}"
    return (
        f"Recipe: {epochs}, batch {recipe.batch_size}, {optimizer}, {rate}, initial weights of the "
        f"backbone: {weights}{augmented}{computed}.{_accumulation(recipe)}"
    )


def _accumulation(recipe):
    if recipe.accumulate == 1:
        return ""
    return (
        f" Each batch goes through the model in {recipe.accumulate} parts of {recipe.micro_batch}, and their gradients "
        f"are averaged: the step is that of the whole batch, but batch norm sees {recipe.micro_batch} images at a "
        "time, so its statistics are noisier."
    )


def describe_augmentation(augmentation):
    """An augmentation in a sentence."""
    low, high = augmentation.brightness_range
    flips = [name for name in ("horizontal", "vertical") if getattr(augmentation, f"{name}_flip")]
    return (
        f"Augmentation, anew in every epoch: rotation ±{augmentation.rotation_range:g}°, shift "
        f"±{augmentation.width_shift_range:.0%} and ±{augmentation.height_shift_range:.0%}, zoom "
        f"±{augmentation.zoom_range:.0%}, {' and '.join(flips) or 'no'} flips, channel shift "
        f"±{augmentation.channel_shift_range:g} grey levels, brightness {low:g} to {high:g}; computed as "
        f"{augmentation.convention} does."
    )


def describe_data(experiment):
    """Print the dataset's counts, beside Table 2's at the paper's scale, and everything that is wrong with it."""
    study = experiment.study
    counts, *notes = experiment.dataset.describe()
    print(counts)
    if experiment.plan is None and study.name != "deeper_networks":
        print(f"Table 2 has {study.train_images:,} and {study.test_images:,} in {study.classes} classes.")
    for note in notes:
        print(note)


def say_speed(experiment, seconds, epochs):
    """Print how long a training will take, if it takes a minute or more.

    Args:
        experiment: Experiment.
        seconds: That an epoch takes, measured on the first steps.
        epochs: That are still to be trained.
    """
    if seconds * epochs < 60:
        return
    an_epoch, whole = progress.duration(seconds), progress.duration(seconds * epochs)
    if experiment.plan:
        print(f"An epoch takes about {an_epoch} here, {epochs} take {whole}.", flush=True)
    elif accelerators():
        hours = seconds * epochs * len(accelerators()) / 3600
        print(f"An epoch takes about {an_epoch} here, {epochs} take {whole}: {hours:.1f} GPU hours.", flush=True)
    else:
        demo = progress.duration(60 * experiment.study.demo.minutes)
        print(
            f"This machine has no accelerator: an epoch takes about {an_epoch}, {epochs} take about {whole} here; "
            f"scale='demo' takes {demo}.",
            flush=True,
        )
