"""What the site takes from elsewhere: the README's tables, the commands' own help; and what it doesn't: the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

from fastbp._cli.parser import parser

README = Path(__file__).parent.parent / "README.md"
ELSEWHERE = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in ``<!-- compare -->`` and ``<!-- fastbp train --help -->``."""
    if "<!-- compare -->" in markdown:
        markdown = markdown.replace("<!-- compare -->", measured())
    return re.sub(r"<!-- fastbp (\w*) ?--help -->", lambda found: command_help(found[1]), markdown)


def measured() -> str:
    """The README's tables."""
    return README.read_text("utf-8").split("<!-- compare -->")[1].split("<!-- /compare -->")[0]


def command_help(name: str) -> str:
    """A command's help, or that of the whole for an empty name."""
    whole = parser()
    command = whole._subparsers._group_actions[0].choices[name] if name else whole
    title = f"fastbp {name}".strip()
    return f"## {title}\n\n```text\n{command.format_help()}```"


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would fetch something."""
    found = ELSEWHERE.search(output)
    if found:
        raise PluginError(f"{page.file.src_path} would fetch {found[0]}")
    return output
