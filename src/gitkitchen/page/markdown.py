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
    return made


def _link(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    if not str(token.attrGet("href") or "").lower().startswith(ALLOWED):
        token.attrs.pop("href", None)  # an empty one would lead to the page itself
    token.attrSet("rel", "noopener noreferrer")
    return str(self.renderToken(tokens, index, options, env))


def as_html(text: str) -> str:
    """A note as HTML that cannot act. Its headings stand below those of the page, without a gap."""
    lines = encodable(text).replace("\r\n", "\n").split("\n")
    reader = _reader()
    tokens = reader.parse("\n".join(safe(line.replace("\t", "    ")) for line in lines))
    levels = sorted({t.tag for t in tokens if t.type == "heading_open"})
    above = 2
    for token in tokens:
        if token.type == "heading_open":
            above = min(levels.index(token.tag) + 3, above + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{above}"
    return str(reader.renderer.render(tokens, reader.options, {}))
