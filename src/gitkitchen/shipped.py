"""Files that ship with the package beside its code: templates, workflows, examples."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gitkitchen.errors import Infrastructure, Problem


def find(name: str) -> Path:
    """Where a shipped file or folder lies (``templates/report.html.j2``).

    In a wheel it is part of the package; in an editable installation it is the repository's own.
    Raises Infrastructure when an installation is not whole.
    """
    package = Path(str(files("gitkitchen")))
    for top in (package / "_shipped", package.parent.parent):
        if (top / name).exists():
            return top / name
    raise Infrastructure(
        Problem(
            f"this installation of GitKitchen lacks '{name}'",
            hint="install the package again",
            code="not-shipped",
        )
    )
