"""The only module that imports Keras: when the first of its names is used, so that checking what was typed needs none.

It explains a missing backend, and drops what backends print when they start.
"""

import contextlib
import functools
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BACKENDS = ("tensorflow", "jax", "torch")


@contextlib.contextmanager
def quiet_stderr():
    """Hide what C++ writes to standard error, unless what is done fails: in a notebook it would be a red box.

    TensorFlow writes two lines when it starts, before its own log levels apply.
    """
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


class _Keras:
    """The module ``keras``, imported when an attribute of it is used."""

    def __getattr__(self, name):
        return getattr(_import(), name)


@functools.cache
def _import():
    try:
        with quiet_stderr():
            import keras
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        raise ModuleNotFoundError(
            f"Keras has no backend to run on: '{error.name}' is not installed. Install one with "
            f"pip install 'wisesr_helpers[{error.name}]'. To use another one that is already installed, set the "
            f"environment variable KERAS_BACKEND to {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}.",
            name=error.name,
        ) from None
    return keras


keras = _Keras()

__all__ = ["keras", "quiet_stderr"]
