"""Whether a text of Markdown is nothing but text and our own markup, by a real renderer."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

from markdown_it import MarkdownIt

from pulls import RUN_URL

GFM = MarkdownIt("gfm-like")
"""GitHub's dialect: tables, strikethrough, links without markup, and HTML as it stands."""
OURS = frozenset(
    {
        "h2",
        "h3",
        "h4",
        "p",
        "ul",
        "ol",
        "li",
        "strong",
        "em",
        "code",
        "pre",
        "sub",
        "br",
        "details",
        "summary",
    }
    | {"table", "thead", "tbody", "tr", "th", "td", "a"}
)
VOID = frozenset({"br"})


class Page(HTMLParser):
    """What a browser would make of a rendering: tags as a tree, texts, links."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.words: list[str] = []
        self.comments: list[str] = []
        self.source = unescape(markdown)
        self.feed(GFM.render(markdown))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        found = [value or "" for name, value in attrs if name in ("href", "src")]
        self.links += [url for url in found if not self._is_guessed(url)]
        if tag not in VOID:
            self.open.append(tag)

    def _is_guessed(self, url: str) -> bool:
        """A file's name whose end is a country's (``loud.py``): the renderer takes it for a host, and GitHub
        does not (https://github.github.com/gfm/#autolinks-extension-)."""
        host = url.removeprefix("http://")
        return url != host and not host.startswith("www.") and url not in self.source

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" not in self.open:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def assert_inert(where: str, markdown: str, links: frozenset[str] = frozenset({RUN_URL})) -> None:
    """No tag, link, mention, reference, image or runner command that is not ours; all is balanced."""
    page = Page(markdown)
    assert page.tags <= OURS, where
    assert not page.open, where
    assert page.attributes <= {"href", "class", "style"}, where
    assert set(page.links) <= links, (where, set(page.links) - links)
    said = "".join(page.words)
    assert not re.search(r"@[A-Za-z0-9]", said), where
    assert not re.search(r"#\d|\bGH-\d|\bGHSA-[a-z0-9]", said), where
    assert len(page.comments) <= 1, where
    assert all(markdown.startswith(f"<!--{comment}-->\n") for comment in page.comments), where
    for line in markdown.splitlines():
        assert not line.lstrip().startswith("::"), where
        assert "##[" not in line, where
        assert line.isprintable(), where
    fences = [line for line in markdown.splitlines() if line.lstrip().startswith(("```", "~~~"))]
    assert len(fences) % 2 == 0, where
    assert all(f in ("```", "```sh", "```mermaid") for f in fences), where
