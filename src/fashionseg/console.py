"""What a terminal shows: one-line errors, progress with rate and remaining time.

Every entry point (command line, stages) runs its `main` through `exit_code`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from fashionseg.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")

EXIT_FAULT = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def exit_code(main: Callable[[], int | None]) -> int:
    """Runs `main`; a user's mistake becomes one line on standard error and exit status 2, Ctrl-C status 130."""
    try:
        return main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except BrokenPipeError:  # `fashionseg ... | head`
        sys.stderr.close()
        return EXIT_FAULT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


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


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with counts, rate and remaining time; extra columns come from a task's `status` field."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    class RateColumn(TextColumn):
        def __init__(self) -> None:
            super().__init__("")

        def render(self, task):  # type: ignore[no-untyped-def]
            from rich.text import Text

            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
    )

    class StatusProgress(Progress):
        def add_task(self, description, **fields):  # type: ignore[no-untyped-def, override]
            return super().add_task(description, **{"status": "", **fields})

    with StatusProgress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar
