"""What a worker process of tests/faults/test_workers.py runs; a module that the process can import."""

from __future__ import annotations

import resource
from pathlib import Path

from fashionseg.data.jpeg import PhotoError
from fashionseg.prepare.photo_header import read_header
from fashionseg.prepare.photos import decode_photo


def decode_with_little_memory(data: bytes) -> int:
    """In a worker: what the process has, and 10 MB for a photo of 27."""
    header = read_header(data, 100)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (10 << 20), resource.RLIM_INFINITY))
    try:
        return len(decode_photo(data, header))
    except PhotoError:
        return -1  # dropped as damaged, which it is not
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
