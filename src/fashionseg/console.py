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
        print("interrupted; the same command goes on from what is done", file=sys.stderr)
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
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar
