"""Whether memory or open files grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tools.soak.samples import Sample

# In an hour the middles of the second and the last third are 20 minutes apart. Memory held by the allocators of C,
# Python and TensorFlow varies by about one percent between two such medians; typical leaks (an array or a file per
# batch, epoch or restarted worker) amount to tens of megabytes by then.
ALLOWED_SHARE = 0.02
ALLOWED_FILES = 2.0


@dataclass(frozen=True)
class Growth:
    """The second and the last third of a run; the first is warm-up (graphs, buffers, pools)."""

    rss_mib: tuple[float, float]
    open_files: tuple[float, float]

    @property
    def share(self) -> float:
        """Growth of memory: 0.01 is one percent more."""
        return self.rss_mib[1] / self.rss_mib[0] - 1

    @property
    def is_growing(self) -> bool:
        more_files = self.open_files[1] - self.open_files[0]
        return self.share > ALLOWED_SHARE or more_files > ALLOWED_FILES


def judge(samples: Sequence[Sample]) -> Growth | None:
    """Compares medians, so that short peaks, as when workers restart, do not count; None with too few samples."""
    third = len(samples) // 3
    if third < 3:
        return None
    second, last = samples[third : 2 * third], samples[2 * third :]
    return Growth(
        (median(sample.rss_mib for sample in second), median(sample.rss_mib for sample in last)),
        (median(sample.open_files for sample in second), median(sample.open_files for sample in last)),
    )
