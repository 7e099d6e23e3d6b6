"""Start-up time: the command's help, and a pipeline with nothing to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fashionseg.commands.preset import merge
from fashionseg.params import read_yaml
from fashionseg.sources.folder import FILES
from tools.bench.rows import Bench, Row
from tools.bench.timing import in_turns, spread

_PHOTOS, _TEST_PHOTOS = 45_000, 3200  # Kaggle's, about


def measure_help(bench: Bench) -> list[Row]:
    """`fashionseg --help` in a fresh process."""
    command = [str(Path(sys.executable).parent / "fashionseg"), "--help"]
    seconds = in_turns(
        {
            "ours": lambda: subprocess.run(command, check=True, capture_output=True),
            "python": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        },
        max(3, bench.repeats),
    )
    note = f"{spread(seconds['ours'])}; an empty Python: {min(seconds['python']):.3f} s"
    return [Row("start", "fashionseg --help", min(seconds["ours"]), "s", 0.3, note=note)]


def measure_repro(bench: Bench) -> list[Row]:
    """`dvc repro` with nothing to do: our stages and dependencies, with a script in place of every command.

    Only `source` runs as it is, on a folder with the same number of photos.

    Raises:
        AssertionError: another stage than `source` ran.
    """
    folder = bench.work / "pipeline"
    num_photos, num_test_photos = bench.count(_PHOTOS, 10), bench.count(_TEST_PHOTOS, 2)
    _write_pipeline(folder, num_photos, num_test_photos)
    # A DVC repository inside ours; hard links keep the cache from being a second copy.
    dvc = Path(sys.executable).parent / "dvc"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    environment |= {
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{dvc.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path("src").resolve()),
    }

    def run(*words: str) -> str:
        ended = subprocess.run([dvc, *words], cwd=folder, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    run("init", "--no-scm", "-q")
    run("config", "cache.type", "hardlink,copy")
    start = time.perf_counter()
    run("repro", "-q")
    first = time.perf_counter() - start
    outputs: list[str] = []
    seconds = in_turns({"no-op": lambda: outputs.append(run("repro"))}, bench.repeats)["no-op"]
    assert all(re.findall("Running stage '(.*)'", text) == ["source"] for text in outputs), "a stage ran"
    note = f"{spread(seconds)}; the first run, which hashes and caches them: {first:.0f} s"
    on = f"dvc repro, nothing to do, {num_photos:,} photos and {num_test_photos:,} of the test"
    return [Row("start", on, min(seconds), "s", 5.0, note=note)]


def _write_pipeline(folder: Path, num_photos: int, num_test_photos: int) -> None:
    """dvc.yaml with `cmd` replaced, params.yaml, the code dependencies, and a script in place of all stages."""
    from ruamel.yaml import YAML

    definition = read_yaml(Path("dvc.yaml"))
    outputs = {out for stage in definition["stages"].values() for out in _outputs(stage)}
    for name, stage in definition["stages"].items():
        for dependency in stage.get("deps", []):
            if not any(dependency == out or dependency.startswith(f"{out}/") for out in outputs):
                _copy(Path(dependency), folder / dependency)
        if name != "source":
            stage["cmd"] = (
                f"{sys.executable} make.py {num_photos} {num_test_photos} {' '.join(_outputs(stage))}"
            )
    definition.pop("plots", None)
    (folder / "make.py").write_text(
        "import pathlib, sys\n"
        "num_photos, num_test_photos = map(int, sys.argv[1:3])\n"
        "for out in map(pathlib.Path, sys.argv[3:]):\n"
        "    if out.suffix:\n"
        "        out.parent.mkdir(parents=True, exist_ok=True)\n"
        "        out.write_text('1')\n"
        "        continue\n"
        "    is_raw = out.name == 'raw'\n"
        "    folders = {out / 'train': num_photos, out / 'test': num_test_photos} if is_raw else {out: 1}\n"
        "    for folder, count in folders.items():\n"
        "        folder.mkdir(parents=True, exist_ok=True)\n"
        "        if not is_raw:\n"
        "            (folder / 'taxonomy.json').write_text(str(folder))\n"
        "        for number in range(count):\n"
        "            (folder / f'{number}.jpg').write_text(f'{folder}{number}' * 9)\n"
    )
    photos = folder.resolve().with_name("raw")  # the name for which the script writes photos
    write = [sys.executable, str(folder / "make.py"), str(num_photos), str(num_test_photos), str(photos)]
    subprocess.run(write, check=True)
    for name in FILES:
        (photos / name).touch()
    (folder / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    merge(folder / "params.yaml", {"download.source": "folder", "download.folder": str(photos)})
    with (folder / "dvc.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(definition, file)


def _outputs(stage: dict) -> list[str]:
    """Paths of outs, metrics and plots."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
