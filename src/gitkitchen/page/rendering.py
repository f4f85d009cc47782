"""Templates become pages: everything escaped, what a reader cannot see or should not trust made visible.

The pages forbid by their own policy whatever an escape could have missed: no inline script, no inline style,
nothing from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gitkitchen.files import digest_bytes
from gitkitchen.frozen import dataclass
from gitkitchen.page.cells import MARKS, cell, dots, rows
from gitkitchen.page.code import code
from gitkitchen.page.markdown import as_html
from gitkitchen.report.text import encodable, safe
from gitkitchen.shipped import find

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page to be: where it goes, its template, and what makes the values that it is given. ``key``: of a
    page that tells of what has ended, all that it depends on; "" for one that tells of the present."""

    path: str
    template: str
    make: Callable[[], Mapping[str, Any]]
    key: str = ""

    @property
    def lasting(self) -> bool:
        return bool(self.key)

    @property
    def root(self) -> str:
        """The way from the page to the top of the site."""
        return "../" * self.path.count("/")


@lru_cache(maxsize=1)
def environment() -> Environment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    def shown(value: object) -> object:
        if isinstance(value, str) and not isinstance(value, Markup):
            return value if value.isprintable() else safe(encodable(value))
        return value

    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(str(find("templates/page"))),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.globals["marks"] = MARKS
    made.globals["policy"] = POLICY
    made.filters |= {"cell": cell, "rows": rows, "dots": dots}
    made.filters["markdown"] = lambda text: Markup(as_html(text))  # noqa: S704 - sanitized there
    return made


def render(page: Page) -> str:
    """The text of a page."""
    return part(page.template, **page.make(), root=page.root)


def part(template: str, **values: Any) -> str:
    """The text that a template makes of its values."""
    text = environment().get_template(template).render(values)
    return encodable(_EMPTY.sub("\n", text))


_EMPTY = re.compile(r"\n\s*\n+")


class Frame:
    """What stands around the pages of a site: of thousands of pages most have the same."""

    def __init__(self, site: Mapping[str, Any]) -> None:
        self._site = site
        self._made: dict[tuple[object, ...], Markup] = {}

    def head(self, root: str) -> Markup:
        return self._part("head", root)

    def top(self, root: str, menu: str, lasting: bool) -> Markup:
        return self._part("top", root, menu, lasting)

    def foot(self, root: str, lasting: bool) -> Markup:
        return self._part("foot", root, lasting)

    def _part(self, name: str, *about: object) -> Markup:
        key = (name, *about)
        if key not in self._made:
            make = getattr(environment().get_template("frame.html.j2").module, name)
            self._made[key] = make(self._site, *about)
        return self._made[key]


@lru_cache(maxsize=1)
def look() -> str:
    """The digest of all that decides how a page looks: templates, style, and the code that fills them."""
    folder = find("templates/page")
    parts = [p.name.encode() + p.read_bytes() for p in sorted(folder.iterdir())]
    return digest_bytes(b"".join([code().encode(), *parts]))


_SLUG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


def slug(*parts: str) -> str:
    """A file's name for a name, the same for ever: what is no plain name gets a digest."""
    words = [p for p in parts if p]
    text = "--".join(words)
    if words and all(_SLUG.fullmatch(w) and "--" not in w for w in words) and len(text) <= 160:
        return text
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", text)[:40].strip("-") or "x"
    return f"{readable}--{digest_bytes(encodable(chr(0).join(words)).encode())[:10]}"
