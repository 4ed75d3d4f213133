"""What a command answers: results by name for programs, and text for people."""

from __future__ import annotations

from typing import Any


class Answer(dict[str, Any]):
    """The results of a command, which --json prints.

    Attributes
    ----------
    text : the same for people, which is printed without --json
    """

    def __init__(self, results: dict[str, Any], text: str) -> None:
        super().__init__(results)
        self.text = text
