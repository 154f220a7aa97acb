"""Changes of the whole process that overlapping blocks share: made with the first, undone after the last."""

import contextlib
import functools
import threading


def shared(manager):
    """Decorate a context manager without arguments, so that blocks of several threads enter it once together.

    Each would else save what another has set, and put that back for good.
    """
    lock, entered, inside = threading.Lock(), contextlib.ExitStack(), 0

    @functools.wraps(manager)
    @contextlib.contextmanager
    def sharing():
        nonlocal inside
        with lock:
            if not inside:
                entered.enter_context(manager())
            inside += 1
        try:
            yield
        finally:
            with lock:
                inside -= 1
                if not inside:
                    entered.close()

    return sharing
