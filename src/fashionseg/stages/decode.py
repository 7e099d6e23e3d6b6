"""Stage `decode`: raw photos and train.csv to records at training resolution.

1. Index train.csv: where each photo's rows lie.
2. On all cores, photo by photo: read rows and file, turn the photo upright and shrink it to `decode.long_side`, resize
   the masks to its size for training and to 512 x 512 for scoring.
3. Write sharded records, photos.parquet, instances.parquet, and report.json with every dropped or
   repaired row or photo, and what is worth a look in the data as a whole.
4. Draw pictures of the suspects among these.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.prepare.decode import decode_folder
from fashionseg.report.suspects import write_suspects
from fashionseg.storage.json_file import read_json


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=Path, required=True, help="folder in Kaggle's layout")
    parser.add_argument("--decoded", type=Path, required=True, help="folder to write")
    parser.add_argument("--suspects", type=Path, help="folder for their pictures [next to --decoded]")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    counts = decode_folder(arguments.raw, arguments.decoded, params.decode, params.sampling.max_gt_instances)
    look = read_json(arguments.decoded / "report.json", "run the stage decode")["look"]
    suspects = arguments.suspects or arguments.decoded.with_name("suspects")
    pictures = write_suspects(suspects, arguments.decoded, look["suspects"])
    say(
        f"decode: {counts['train_photos']} train photos with {counts['instances']} instances, "
        f"{counts['test_photos']} test photos; {counts.get('dropped', 0)} dropped, {counts.get('repaired', 0)} "
        f"repaired and {counts.get('scoring_only', 0)} kept for scoring only, see {arguments.decoded / 'report.json'}"
    )
    if look["notes"]:
        drawn = f"; pictures in {suspects}" if pictures else ""
        say(f"decode: look at your data: {'; '.join(look['notes'])}{drawn}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
