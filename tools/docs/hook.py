"""MkDocs hook: fills in the generated tables, and takes CONTRIBUTING.md and CHANGELOG.md into the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from fashionseg.errors import UserError
from tools.docs.commands_page import commands_table
from tools.docs.faults import fault_table
from tools.docs.params_page import params_tables
from tools.docs.speed import speed_table

REPO = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"^<!-- generated: (\w+)(?: ([\w-]+))? -->$", re.MULTILINE)
TOP_LEVEL = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def fill_in(markdown: str, repo: Path = REPO) -> str:
    """A page with each `<!-- generated: ... -->` line replaced by its table.

    Raises:
        UserError: an unknown name, or a table without rows.
    """

    def generated(found: re.Match[str]) -> str:
        match found[1]:
            case "faults":
                return fault_table(repo / "tests", found[2])
            case "commands":
                return commands_table(repo, found[2])
            case "params":
                return params_tables(repo)
            case "speed":
                return speed_table(repo / "docs" / "data" / "bench.json")
        raise UserError(f"{found[0]}: expected commands, faults, params or speed, got {found[1]}")

    return GENERATED.sub(generated, markdown)


def as_site_page(markdown: str) -> str:
    """A top-level file as a page of the site: its links into docs/ are links to the pages next to it."""
    markdown = markdown.replace("](docs/", "](")
    for page, name in TOP_LEVEL.items():
        markdown = markdown.replace(f"]({name}", f"]({page}")
    return markdown


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, name in TOP_LEVEL.items():
        content = as_site_page((REPO / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    try:
        return fill_in(markdown)
    except UserError as error:
        raise PluginError(str(error)) from None
