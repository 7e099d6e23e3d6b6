"""`fashionseg compare A B`: a paired bootstrap over photos, and over seeds where a setting has several.

1. Read the score of each photo from both settings.
2. Pair the photos; refuse settings that were validated on other photos.
3. Print the difference of the means, its interval, and what follows.
"""

from __future__ import annotations

import argparse

from fashionseg.console import say
from fashionseg.project import find_root

_SETTING = (
    "`workspace`, a folder, a DVC experiment or a Git revision; several seeds or folds separated by commas, or "
    "experiments matched by a pattern such as 'wide-*'"
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help=_SETTING)
    parser.add_argument("b", metavar="B", help="the setting compared with A, in the same form")


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.experiments.settings import pair_photos, read_setting
    from fashionseg.metrics.bootstrap import DRAWS_OF_A_DIFFERENCE, compare_settings

    root = find_root()
    settings = [read_setting(root, text) for text in (arguments.a, arguments.b)]
    first, second, num_unpaired = pair_photos(*settings)
    found = compare_settings(first.to_numpy(), second.to_numpy())
    for letter, setting, mean in zip("AB", settings, found.means, strict=True):
        say(f"{letter}: {mean:.4f}  {', '.join(setting.runs)}")
    low, high = found.interval
    say(f"B - A: {found.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, {first.shape[1]} photos")
    if num_unpaired:
        say(f"{num_unpaired} photos have a score in one of the two only: skipped")
    say(f"B is better in {100 * found.share_better:.1f} % of {DRAWS_OF_A_DIFFERENCE} draws")
    if len(first) == 1 or len(second) == 1:
        say(
            "one seed only: the interval has the spread over photos, not the one over seeds; see `fashionseg seeds`"
        )
    if found.is_shown:
        say(f"B is {'better' if found.difference > 0 else 'worse'} than A: the interval excludes 0")
    else:
        say("no difference shown: the interval contains 0")
