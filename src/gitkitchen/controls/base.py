"""What a dataset is compared with: what its base has published."""

from __future__ import annotations

from gitkitchen.frozen import dataclass
from gitkitchen.model import Version

NO_BASE = "could not compare: nothing is published to compare with"


@dataclass(frozen=True, slots=True)
class Base:
    """What a dataset is compared with: the version, or None for the reason in ``why``.

    ``lost``: there is one, and it cannot be read: that is an error. ``label`` names it for people.
    """

    version: Version | None = None
    label: str = ""
    why: str = NO_BASE
    lost: bool = False
