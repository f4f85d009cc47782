"""What is shown on GitHub, as plain values: those who write reports make them, the client posts them.

The numbers are GitHub's own limits. A value beyond them is refused here, where it is made: GitHub fails
the whole request, and the truth would be lost together with what was too much.
"""

from __future__ import annotations

import re
from typing import Literal

from gitkitchen.frozen import dataclass

Level = Literal["notice", "warning", "failure"]
Status = Literal["queued", "in_progress", "completed"]
Conclusion = Literal[
    "success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale"
]

LEVELS: tuple[Level, ...] = ("notice", "warning", "failure")
CONCLUSIONS: tuple[Conclusion, ...] = (
    "success",
    "failure",
    "neutral",
    "cancelled",
    "skipped",
    "timed_out",
    "action_required",
)
"""What an App may conclude. ``stale`` is GitHub's own: it only reads so.
https://docs.github.com/en/rest/checks/runs#create-a-check-run"""

MAX_TEXT = 65_535
"""Characters of a check run's summary, and of its text."""
MAX_COMMENT = 65_536
"""Characters of a comment."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Bytes of an annotation's message."""
MAX_ANNOTATION_TITLE = 255
ANNOTATIONS_PER_REQUEST = 50
MAX_DESCRIPTION = 140
"""Characters of the description of a commit status or a deployment status."""

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MARKER = re.compile(r"<!-- [A-Za-z0-9][A-Za-z0-9 _.:/=@-]{0,198} -->")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A message on lines of a file. ``path`` is relative to the repository; lines count from 1.

    Columns count only where it starts and ends on one line. ValueError beyond GitHub's limits.
    """

    path: str
    start_line: int
    end_line: int
    level: Level
    title: str
    message: str
    start_column: int | None = None
    end_column: int | None = None

    def __post_init__(self) -> None:
        if not self.path or self.path.startswith("/"):
            raise ValueError("the path of an annotation is relative to the repository, and not empty")
        if not 1 <= self.start_line <= self.end_line:
            raise ValueError(f"an annotation on lines {self.start_line} to {self.end_line}")
        if self.level not in LEVELS:
            raise ValueError(f"the level of an annotation is one of {', '.join(LEVELS)}")
        if not self.message:
            raise ValueError("an annotation without a message")
        if len(self.message.encode("utf-8", "replace")) > MAX_MESSAGE_BYTES:
            raise ValueError("the message of an annotation is longer than 64 KB")
        if len(self.title) > MAX_ANNOTATION_TITLE:
            raise ValueError("the title of an annotation is longer than 255 characters")
        if (self.start_column or self.end_column) and self.start_line != self.end_line:
            raise ValueError("columns of an annotation of several lines")


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A check run as it should stand. ``name`` and ``head_sha`` say where, ``external_id`` which one it is.

    ``external_id`` names the logical write (project, recipe, run id and attempt): the same one posted again
    is the same check run. ``conclusion`` is there exactly when ``status`` is ``completed``; ``neutral`` and
    ``skipped`` satisfy a required check, so that neither may stand for "could not verify".
    ``annotations`` may be any number: the client sends them in batches. ValueError beyond the limits.
    """

    name: str
    head_sha: str
    status: Status
    conclusion: Conclusion | None
    title: str
    summary: str
    text: str = ""
    annotations: tuple[Annotation, ...] = ()
    external_id: str = ""
    details_url: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.title:
            raise ValueError("a check run needs a name and a title")
        if not _SHA.fullmatch(self.head_sha):
            raise ValueError(f"{self.head_sha!r:.80} is no commit")
        if not self.external_id:
            raise ValueError("a check run without an external_id could not be found again")
        if (self.status == "completed") != (self.conclusion is not None):
            raise ValueError("a check run has a conclusion exactly when it is completed")
        if self.conclusion is not None and self.conclusion not in CONCLUSIONS:
            raise ValueError(f"{self.conclusion!r} is not for us to conclude")
        for what, value in (("summary", self.summary), ("text", self.text)):
            if len(value) > MAX_TEXT:
                raise ValueError(f"the {what} of a check run is longer than {MAX_TEXT} characters")


@dataclass(frozen=True, slots=True)
class Comment:
    """The one sticky comment of its ``marker``, a hidden HTML comment (``marker_of``) that begins the body.

    ``body`` is the whole text without the marker. ValueError beyond the limits.
    """

    marker: str
    body: str

    def __post_init__(self) -> None:
        if not _MARKER.fullmatch(self.marker):
            raise ValueError(f"{self.marker!r:.80} is no marker: one HTML comment of plain words")
        if len(self.whole) > MAX_COMMENT:
            raise ValueError(f"a comment is longer than {MAX_COMMENT} characters")

    @property
    def whole(self) -> str:
        """What is posted: the marker on a line of its own, and the body."""
        return f"{self.marker}\n{self.body}"


def marker_of(name: str) -> str:
    """The hidden marker for a plain name (``gitkitchen pull 7c1e2b``). ValueError for others."""
    marker = f"<!-- {name} -->"
    if not _MARKER.fullmatch(marker) or "--" in name:
        raise ValueError(f"{name!r:.80} cannot be a marker")
    return marker
