"""Progress as one line of text, updated in place in a notebook and on a terminal, and durations in words."""

import sys
import time


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
    """A line of text that replaces itself in a notebook and on a terminal; elsewhere only final texts are printed."""

    def __init__(self):
        self._handle = None
        self._terminal = sys.stdout.isatty()

    def show(self, text, final=False):
        """Show ``text``; with ``final`` it stays, and the next text starts a new line."""
        if in_notebook():
            from IPython.display import display

            data = {"text/plain": text}
            if self._handle is None:
                self._handle = display(data, raw=True, display_id=True)
            else:
                self._handle.update(data, raw=True)
        elif self._terminal:
            print(f"\r\033[K{text}", end="\n" if final else "", flush=True)
        elif final:
            print(text, flush=True)


class ProgressBar:
    """A bar that shows how many things are done, and the time left.

    Args:
        what: What is being done, such as "preparing train".
        total: Number of things.
        noun: What they are, such as "images".
        done: How many were done before.
    """

    WIDTH = 20

    def __init__(self, what, total, noun, done=0):
        self.what = what
        self.total = total
        self.noun = noun
        self._before = done
        self._began = time.perf_counter()
        self._line = ProgressLine()

    def show(self, done):
        """Show that ``done`` of them are done; at the end the time it took replaces the bar."""
        elapsed = time.perf_counter() - self._began
        count = f"{done:,} of {self.total:,} {self.noun}"
        if done >= self.total:
            self._line.show(f"{self.what}: {count}, {duration(elapsed)}", final=True)
            return
        filled = self.WIDTH * done // self.total
        left = duration((self.total - done) * elapsed / max(1, done - self._before))
        bar = "█" * filled + "·" * (self.WIDTH - filled)
        self._line.show(f"{self.what}: {bar} {count}, about {left} left")
