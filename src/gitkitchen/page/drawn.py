"""Tables and charts that were drawn before: of ten recipes one ran, and nine are drawn already.

A file for each, named by all that it was drawn from, the code and the templates included. It is derived: what
is damaged is drawn again, what no page shows any more goes, and who removes it loses time alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gitkitchen.files import digest_bytes
from gitkitchen.page import sealed
from gitkitchen.page.rendering import look

if TYPE_CHECKING:
    from markupsafe import Markup


class Drawn:
    """What was drawn, remembered in ``folder``; without one, nothing is."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def html(self, kind: str, inputs: Iterable[str], draw: Callable[[], str]) -> Markup:
        """What ``draw`` makes, which depends on ``inputs`` alone and is safe HTML."""
        from markupsafe import Markup

        if self.folder is None:
            return Markup(draw())  # noqa: S704 - a template's
        name = digest_bytes("\0".join((look(), kind, *inputs)).encode("utf-8", "backslashreplace"))
        self._used.add(name)
        path = self.folder / name
        text = sealed.kept(path)
        if text is None:
            text = draw()
            sealed.keep(path, text)
        return Markup(text)  # noqa: S704 - a template's, whole

    def tidy(self) -> None:
        """Forget what was not asked for."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.name not in self._used:
                with contextlib.suppress(OSError):
                    path.unlink()
