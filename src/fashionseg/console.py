"""Terminal output: one-line errors, progress with rate and remaining time.

Every entry point (command line, stages) runs its `main` through `exit_code`.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from fashionseg.errors import UserError
from fashionseg.storage.disk import explain

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

EXIT_FAULT = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def exit_code(main: Callable[[], int | None]) -> int:
    """Runs `main` and returns its exit status; errors that a user can fix become one line on standard error.

    These are mistakes, a full disk, a folder that cannot be written and too little memory (status 2), and Ctrl-C
    (130). SIGTERM (143) ends `main` as Ctrl-C does, so that no partial output stays and tracking records KILLED.
    """
    try:
        with _sigterm_as_exit():
            return main() or 0
    except UserError as error:
        message = str(error)
    except MemoryError:
        message = "out of memory; earlier outputs are unchanged, run again with less"
    except BrokenPipeError:  # `fashionseg ... | head`
        sys.stderr.close()
        return EXIT_FAULT
    except _Terminated:
        print("terminated; the same command resumes", file=sys.stderr)
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (OSError, RuntimeError) as error:  # HDF5 raises either for a full disk
        if (explained := explain(error)) is None:
            raise
        message = explained
    print(f"error: {message}", file=sys.stderr)
    return EXIT_USER_ERROR


class _Terminated(KeyboardInterrupt):
    """SIGTERM; whatever lets go at Ctrl-C lets go at this."""


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM raises `_Terminated` while the block runs, where nobody handles it already."""

    def stop(_signal: int, _frame: object) -> None:
        raise _Terminated

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def say(message: str) -> None:
    """One line on standard output, at once even when piped into DVC's log."""
    print(message, flush=True)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yields `items` behind a progress bar; silent where there is no terminal."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar() as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


def progress_bar() -> Progress:
    """A bar with counts, rate and remaining time; a task's field `status` is shown behind them."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    class StatusColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(task.fields.get("status", ""))

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        StatusColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
