"""People's notes: Markdown without HTML, without images, with links to the web alone."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gitkitchen.report.text import encodable, safe

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

ALLOWED = ("https://", "http://", "mailto:")


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    made.validateLink = lambda url: url.lower().startswith(ALLOWED)  # type: ignore[method-assign]
    made.add_render_rule("link_open", _link)
    for level, rule in (("heading_open", "<h"), ("heading_close", "</h")):
        made.add_render_rule(level, _heading(rule))
    return made


def _link(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    if not str(token.attrGet("href") or "").lower().startswith(ALLOWED):
        token.attrs.pop("href", None)  # an empty one would lead to the page itself
    token.attrSet("rel", "noopener noreferrer")
    return str(self.renderToken(tokens, index, options, env))


def _heading(rule: str) -> Any:
    def rendered(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:  # noqa: ARG001
        # The page's own headings are of levels 1 and 2: a note's begin below.
        return f"{rule}{min(6, int(tokens[index].tag[1]) + 2)}>"

    return rendered


def as_html(text: str) -> str:
    """A note as HTML that cannot act."""
    lines = encodable(text).replace("\r\n", "\n").split("\n")
    return str(_reader().render("\n".join(safe(line.replace("\t", "    ")) for line in lines)))
