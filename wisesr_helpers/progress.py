"""One line that says how far a training is: updated in place in a notebook, printed elsewhere."""

import sys


def in_notebook():
    """Whether this process is a Jupyter kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")


def duration(seconds):
    """Seconds as people say them: "48 s", "3 min 20 s", "5 h 10 min", "3.2 days"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds / 86400:.1f} days"


class ProgressLine:
    """A line of text that replaces itself; only what it said last stays in a stored notebook."""

    def __init__(self):
        self._handle = None

    def show(self, text, final=False):
        """Show ``text``; outside a notebook only lines with ``final`` are printed."""
        if in_notebook():
            from IPython.display import display

            data = {"text/plain": text}
            if self._handle is None:
                self._handle = display(data, raw=True, display_id=True)
            else:
                self._handle.update(data, raw=True)
        elif final:
            print(text, flush=True)
