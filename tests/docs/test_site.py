"""The site is built strictly and needs no network; what README and pages name is there."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.docs.commands_page import fab_tasks, make_targets

from fashionseg.cli import COMMANDS
from fashionseg.params import flatten, read_yaml

REPO = Path(__file__).resolve().parents[2]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
README_BYTES = 8 * 1024


# Not --quiet: it hides the warnings that --strict counts.
def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(config),
        "-d",
        str(site),
    ]
    return subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=False)


def code_of(page: Path) -> str:
    """Inline code and code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *inline])


@pytest.mark.slow
def test_the_site_builds_without_a_dead_link_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    ended = build(REPO / "mkdocs.yml", tmp_path)
    assert ended.returncode == 0, ended.stderr
    pages = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert {"index", "faults", "parameters", "contributing", "changelog"} <= set(pages)
    loaded = r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="(?:https?:)?//[^"]*"'
    assert {name: re.findall(loaded, text) for name, text in pages.items() if re.search(loaded, text)} == {}
    assert [name for name, text in pages.items() if "<!-- generated:" in text] == []


@pytest.mark.slow
def test_a_dead_link_and_a_dead_anchor_fail_the_build(tmp_path: Path) -> None:
    """The control of the test above."""
    shutil.copytree(REPO / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "start.md").open("a", encoding="utf-8") as page:
        page.write("\n[dead](nowhere.md) [dead](design.md#no-such-heading)\n")
    config = (REPO / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        config.replace("tools/docs/hook.py", str(REPO / "tools/docs/hook.py"))
    )
    ended = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert ended.returncode != 0
    assert "'nowhere.md'" in ended.stderr
    assert "no-such-heading" in ended.stderr


def test_the_readme_is_one_page() -> None:
    assert (REPO / "README.md").stat().st_size <= README_BYTES


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_top_level_files_lead_to_files(name: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (REPO / name).read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith("http") and not (REPO / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    found = re.findall(
        r"\b(?:src|tests|tools|remote|presets|requirements|docs)/[\w./-]*\w(?![\w<*])", code_of(page)
    )
    written_by_the_user = {"remote/host.yaml"}
    assert sorted({path for path in found if not (REPO / path).exists()} - written_by_the_user) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_a_page_names_exist(page: Path) -> None:
    code = code_of(page)
    tasks = {usage.split()[1] for usage, _ in fab_tasks(REPO)}
    targets = {usage.split()[1] for usage, _ in make_targets(REPO)}
    assert set(re.findall(r"^(?:\$ )?make ([a-z][\w-]*)", code, re.MULTILINE)) - targets == set()
    assert (
        set(re.findall(r"(?<![\w/-])fashionseg ([a-z][\w-]*)(?= |$)", code, re.MULTILINE)) - set(COMMANDS)
        == set()
    )
    assert set(re.findall(r"\bfab (dgx-[a-z]+)", code)) - tasks == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_parameters_that_a_page_names_exist(page: Path) -> None:
    values = read_yaml(REPO / "params.yaml")
    named = set(re.findall(rf"(?<![\w./-])(?:{'|'.join(values)})(?:\.[a-z_]+)+", code_of(page)))
    keys = flatten(values)
    sections = {".".join(key.split(".")[:depth]) for key in keys for depth in range(1, key.count(".") + 2)}
    files = {name for name in named if name.endswith((".json", ".csv", ".weights.h", ".py", ".yaml", ".md"))}
    assert named - files - sections == set()


# --- the layout drawing --------------------------------------------------------------------------------------------


def drawn_layers() -> list[set[str]]:
    """The packages on each line of the drawing of src/fashionseg/ in CONTRIBUTING.md."""
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawing = text.split("src/fashionseg/\n", 1)[1].split("```", 1)[0]
    return [set(line[:28].split()) for line in drawing.splitlines()]


def imports(package: Path) -> Iterator[str]:
    """Top-level names of ours that the files of a package or module import."""
    for path in package.rglob("*.py") if package.is_dir() else [package.with_suffix(".py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fashionseg."):
                yield str(node.module).split(".")[1]
            elif isinstance(node, ast.ImportFrom) and node.module == "fashionseg":
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.Import):
                yield from (
                    name.name.split(".")[1] for name in node.names if name.name.startswith("fashionseg.")
                )


def test_the_layout_drawing_shows_every_package_and_the_direction_of_imports() -> None:
    source = REPO / "src" / "fashionseg"
    layers = drawn_layers()
    here = {path.stem for path in source.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set().union(*layers) == here - {"__init__", "__main__"}
    level = {name: number for number, names in enumerate(layers) for name in names}
    upward = {
        f"{name} imports {other}"
        for name in level
        for other in imports(source / name)
        if other != name and level.get(other, -1) >= level[name]
    }
    assert upward == set()
