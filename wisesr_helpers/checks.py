"""What was typed, checked: values that need no Keras, parameters that papermill was given, and how a refusal looks."""

import contextlib
import difflib
import numbers
import re
import sys

from wisesr_helpers.progress import in_notebook

COVERS = ("blocks", "exact")
SHARINGS = (None, "radial")
INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "area")
REDUCTIONS = ("average", *INTERPOLATIONS, "depthwise")
PADDINGS = ("none", "zeros", "ones")


def is_whole(value, least=1):
    """Whether a value is a whole number, Python's or NumPy's but no bool, of at least ``least``."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least


def check_whole(name, value, least=1, most=None):
    """A whole number as an int; ValueError, with its bounds, for anything that :func:`is_whole` refuses."""
    if not is_whole(value, least) or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number, {bounds}; received {value!r}.")
    return int(value)


def whole_pool_size(pool_size):
    """The side of a window in cells as an int, of a square one (p, p), too; ValueError for anything else."""
    sides = [*pool_size] if isinstance(pool_size, (tuple, list)) else [pool_size] * 2
    if len(sides) != 2 or sides[0] != sides[1] or not all(map(is_whole, sides)):
        raise ValueError(
            "pool_size must be a whole number of cells, at least 1 (1: no pre-averaging), or (p, p), twice the same; "
            f"received {pool_size!r}."
        )
    return int(sides[0])


def check_reduction(reduction="average", padding="none", strides=0, pool_size=None):
    """Check options of :func:`reduction_layer`, ``pool_size=None`` being not known yet; raise ValueError."""
    for name, value, valid in (("reduction", reduction, REDUCTIONS), ("padding", padding, PADDINGS)):
        if value not in valid:
            raise ValueError(f"{name} must be one of {', '.join(valid)}; received {value!r}.")
    if not is_whole(strides, least=0):
        raise ValueError(f"strides must be a whole number of cells, 0 for the block's side; received {strides!r}.")
    if pool_size is not None:
        pool_size = whole_pool_size(pool_size)
    if reduction != "average" and (padding, strides) != ("none", 0):
        raise ValueError(
            f"padding and strides belong to reduction='average'; received padding={padding!r} and strides={strides} "
            f"with reduction={reduction!r}: leave them out."
        )
    if pool_size is not None and strides > pool_size:
        raise ValueError(
            f"A stride of {strides} would leave cells between blocks of {pool_size}×{pool_size} out; give strides "
            f"from 1 to {pool_size}, 0 for the block's side, or a larger pool_size."
        )
    if pool_size == 1 and padding != "none":
        raise ValueError(
            f"A pool_size of 1 averages nothing, so there is nothing to pad; received padding={padding!r}: leave it "
            "out, or give a pool_size of at least 2."
        )


@contextlib.contextmanager
def refusing():
    """Around the checks of what was typed: in a notebook a refusal is one sentence, without a traceback.

    Checked first are the names of the parameters that papermill was given, of which it only warns.
    """
    try:
        if in_notebook():
            check_parameters(sys.modules["IPython"].get_ipython().user_ns["In"])
        yield
    except (ValueError, OSError) as error:
        shown = [f"{type(error).__name__}: {error}"]
        error._render_traceback_ = lambda: shown  # IPython asks for it
        raise


def check_parameters(cells):
    """ValueError for a parameter of papermill's that the notebook doesn't have, with the nearest and all it has.

    Args:
        cells: Sources of the cells executed so far. A notebook's own parameters are typed ("seed: int = 0");
            papermill's are not, in a cell that begins with "# Parameters".
    """
    valid = [name for cell in cells for name in re.findall(r"^(\w+): ", cell, re.MULTILINE)]
    injected = [cell for cell in cells if cell.startswith("# Parameters\n")]
    for name in re.findall(r"^(\w+) = ", injected[-1] if injected else "", re.MULTILINE):
        if name not in valid:
            near = difflib.get_close_matches(name, valid, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            raise ValueError(f"Unknown parameter '{name}'.{meant} Valid parameters: {', '.join(valid)}.")
