"""The tasks of remote/tasks.py; `fab -l` lists them."""

from remote.tasks import namespace

__all__ = ["namespace"]
