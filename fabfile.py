"""`fab -l` lists the tasks; they live in remote/tasks.py."""

from remote.tasks import namespace

__all__ = ["namespace"]
