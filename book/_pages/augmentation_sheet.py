"""One photograph as several epochs show it, under both conventions: for ``augmentation_sheet.js`` and as a table."""

import base64
import functools
import io

import pandas as pd
from IPython.display import HTML
from PIL import Image
from sklearn.datasets import load_sample_images

from _pages import inputs
from _pages.markup import radios, script_data, table
from wisesr_helpers.metrics import minus
from wisesr_helpers.training.recipes import PAPER_CONVENTION

EPOCHS = 8
WIDTH, HEIGHT = 300, 200  # of a picture, in pixels
ORIGINAL = "as it is"
SHOWN = {PAPER_CONVENTION: "older convention, the paper’s", "keras3": "newer convention", ORIGINAL: ORIGINAL}

FLIPS = {"flip_horizontal": "left to right", "flip_vertical": "top to bottom"}


@functools.cache
def flower():
    """scikit-learn's photograph flower.jpg, uint8 (H, W, 3)."""
    return load_sample_images().images[1]


@functools.cache
def pictures():
    """Epoch, from 1 → (parameters, convention → picture, their mean difference in grey levels)."""
    found = {}
    for epoch in range(EPOCHS):
        params = inputs.drawn(flower(), epoch)
        shown, apart = inputs.both_conventions(flower(), params)
        found[epoch + 1] = params, shown, apart
    return found


def facts():
    """What every epoch drew, a row an epoch."""
    return pd.DataFrame(
        {
            "epoch": epoch,
            "rotation": f"{_whole(params['theta'])}°",
            "shifts, pixels": f"{_whole(params['tx'])} and {_whole(params['ty'])}",
            "zoom": f"{params['zx']:.2f} and {params['zy']:.2f}",
            "flipped": " and ".join(words for key, words in FLIPS.items() if params[key]) or "no",
            "channel shift, grey levels": _whole(params["channel_shift_intensity"]),
            "brightness": f"{params['brightness']:.2f}",
            "conventions apart, grey levels": f"{apart:.1f}",
        }
        for epoch, (params, _, apart) in pictures().items()
    )


def _whole(value):
    return minus(f"{value:.0f}")


def sheet():
    """Choose an epoch and a convention; without JavaScript the first picture and a table of what was drawn."""
    rows = facts()
    sources = {
        convention: [_address(shown[convention]) for _, shown, _ in pictures().values()]
        for convention in SHOWN
        if convention != ORIGINAL
    } | {ORIGINAL: _address(flower())}
    data = {"pictures": sources, "names": list(rows.columns), "facts": rows.values.tolist()}
    choices = radios("convention", SHOWN, PAPER_CONVENTION)
    first = sources[PAPER_CONVENTION][0]
    return HTML(
        '<div class="play sheet"><div hidden>'
        f'<p><label>Epoch <input type="range" min="1" max="{EPOCHS}" value="1"><output>1</output></label></p>'
        f'<p role="radiogroup" aria-label="Convention">{choices}</p></div>'
        f'<img src="{first}" width="{WIDTH}" height="{HEIGHT}" '
        f'alt="The photograph as epoch 1 shows it, under the {SHOWN[PAPER_CONVENTION]}.">'
        '<p class="readout" aria-live="polite" hidden></p>'
        "<noscript><p>Choosing needs JavaScript; the table has what was drawn.</p></noscript>"
        f'{script_data(data)}<details class="provenance"><summary>What {EPOCHS} epochs drew, as a table</summary>'
        f"{table(rows, 'augmentation_draws.csv', compact=True).data}</details></div>"
    )


def _address(image):
    """A picture, made smaller, as an address that holds it."""
    written = io.BytesIO()
    Image.fromarray(image).resize((WIDTH, HEIGHT)).save(written, "JPEG", quality=75, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
