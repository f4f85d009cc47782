"""How a pull request would look: check runs, annotations, comment and summary, in a terminal or as a page.

All that is shown is hostile: Markdown becomes HTML by an allowlist of elements without attributes, in a page
that may load and run nothing (https://developer.mozilla.org/docs/Web/HTTP/CSP).
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from io import StringIO

from gitkitchen.frozen import dataclass
from gitkitchen.report.text import for_runners, safe, safe_lines


@dataclass(frozen=True, slots=True)
class ShownCheck:
    """A check run. ``annotations``: (file and line, level, title, message)."""

    name: str
    conclusion: str
    title: str
    summary: str
    text: str = ""
    annotations: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """``decision`` says what the job does; texts are Markdown; ``writes``: requests that would be sent."""

    decision: str
    checks: tuple[ShownCheck, ...] = ()
    comment: str = ""
    summary: str = ""
    warnings: tuple[str, ...] = ()
    writes: int = 0


ICONS = {"success": "✅", "failure": "❌", "action_required": "⚠️", "cancelled": "⏹️"}
ALLOWED = frozenset(
    {
        *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "code", "pre", "blockquote", "hr", "br"),
        *("table", "thead", "tbody", "tr", "th", "td", "em", "strong", "s", "del", "sub", "sup"),
        *("details", "summary"),
    }
)
VOID = frozenset({"hr", "br"})
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;
margin:1rem auto;padding:0 .8rem;color:#1f2328}
section{border:1px solid #d1d9e0;border-radius:6px;padding:.2rem .9rem .8rem;margin:1rem 0;
overflow-wrap:anywhere}
code,pre{font:85%/1.45 ui-monospace,monospace;background:#f1f3f5;border-radius:4px}code{padding:.1em .3em}
pre{padding:.7rem;overflow-x:auto}pre code{padding:0}table{border-collapse:collapse;display:block;
overflow-x:auto}
td,th{border:1px solid #d1d9e0;padding:.2rem .6rem;text-align:left}.quiet{color:#59636e;font-size:13px}
@media (prefers-color-scheme:dark){body{background:#0d1117;color:#f0f6fc}code,pre{background:#161b22}
section,td,th{border-color:#3d444d}.quiet{color:#9198a1}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


# --- terminal ---------------------------------------------------------------------------------------


def text(preview: Preview, width: int = 100, *, colour: bool = False) -> str:
    """The preview for a terminal."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    out = StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(Text(f"decision  {safe(preview.decision)}"))
    for check in preview.checks:
        icon = ICONS.get(check.conclusion, "·")
        console.print(Text(f"{icon} {safe(check.name)}  {safe(check.conclusion)}: {safe(check.title)}"))
        for place, level, title, message in check.annotations[:10]:
            console.print(Text(f"     {safe(level)} {safe(place)}  {safe(title)}"))
            for line in safe_lines(message)[:6] if level == "failure" else ():
                console.print(Text(f"       {line}"))
        if len(check.annotations) > 10:
            console.print(Text(f"     … and {len(check.annotations) - 10} more annotations"))
    if preview.comment:
        console.rule(Text("comment"))
        console.print(Markdown(_plain(preview.comment)))
        console.rule()
    for warning in preview.warnings:
        console.print(Text(f"warning: {safe(warning)}"))
    if preview.checks:
        console.print(Text(f"{preview.writes} requests would write to GitHub; none was sent"))
    return for_runners(out.getvalue())


def _plain(markdown: str) -> str:
    """Markdown without the few elements that a terminal cannot show."""
    shown = "\n".join(line for line in markdown.splitlines() if not line.startswith("<!--"))
    for old, new in (("<br>", "  \n"), ("<code>", ""), ("</code>", ""), ("<sub>", ""), ("</sub>", "")):
        shown = shown.replace(old, new)
    return "\n".join(safe_lines(shown))


# --- page --------------------------------------------------------------------------------------------


def html(preview: Preview) -> str:
    """The preview as one page of its own, without script, link or image."""
    body = "\n".join(_sections(preview))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>GitKitchen: a simulated pull request</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _sections(preview: Preview) -> Iterator[str]:
    yield "<h1>A simulated pull request</h1>"
    yield f'<p class="quiet">Decision: {escape(safe(preview.decision))}. '
    yield f"{preview.writes} requests would write to GitHub; none was sent.</p>"
    for warning in preview.warnings:
        yield f"<p><strong>Warning</strong>: {escape(safe(warning))}</p>"
    if preview.comment:
        yield f'<section><p class="quiet">Comment</p>{rendered(preview.comment)}</section>'
    for check in preview.checks:
        icon = ICONS.get(check.conclusion, "·")
        title = f"{icon} {escape(safe(check.name))}: {escape(safe(check.conclusion).replace('_', ' '))}"
        yield f'<section><h2>{title}</h2><p class="quiet">Check run: {escape(safe(check.title))}</p>'
        for place, level, name, message in check.annotations:
            told = escape("\n".join(safe_lines(message)))
            at = f"<code>{escape(safe(place))}</code> {escape(safe(name))}"
            yield f"<p><strong>{escape(safe(level))}</strong> {at}</p>"
            yield f"<pre>{told}</pre>"
        yield rendered(check.summary)
        yield f"<details><summary>Details</summary>{rendered(check.text)}</details></section>"
    if preview.summary:
        yield '<section><p class="quiet">Summary of the job</p>'
        yield f"{rendered(preview.summary)}</section>"


def rendered(markdown: str) -> str:
    """Markdown as HTML of allowed elements without attributes: nothing leads anywhere or is asked for."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    cleaner = _Cleaner()
    cleaner.feed(parser.render(markdown))
    cleaner.close()
    return cleaner.text()


class _Cleaner(HTMLParser):
    """Keeps allowed elements, closes what stays open, and drops what stands in others that run or style."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - none is kept
        if tag in ALLOWED:
            self._parts.append(f"<{tag}>")
            if tag not in VOID:
                self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open:
                last = self._open.pop()
                self._parts.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        self._parts.append(escape(data))

    def text(self) -> str:
        return "".join([*self._parts, *(f"</{tag}>" for tag in reversed(self._open))])
