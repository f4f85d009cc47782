"""What this machine keeps of alerts beside the ledger: observations that are not in it yet, and which
messages left. Each is a file of its own, on the disk before what follows begins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from gitkitchen.alerts.grouping import Begun
from gitkitchen.alerts.incidents import read_happening, written
from gitkitchen.alerts.shapes import Delivery, Happening
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import write_atomic
from gitkitchen.frozen import dataclass

KEEP = timedelta(days=14)
MOST = 1_000
"""Files that are read at once."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Two folders below the local state: ``seen`` and ``sent``."""

    folder: Path

    # --- observations on their way to the ledger ---

    def put(self, happenings: Sequence[Happening]) -> Path | None:
        """Keep observations; they survive a kill when this returns. Infrastructure where the disk takes
        none."""
        if not happenings:
            return None
        lines = [json.dumps(written(h), sort_keys=True) for h in happenings]
        text = "\n".join(lines) + "\n"
        path = self.folder / "seen" / f"{sha256(text.encode()).hexdigest()[:32]}.jsonl"
        try:
            write_atomic(path, text, sync=True)
        except OSError as error:
            raise Infrastructure(
                Problem(f"{self.folder} cannot be written: {error.strerror or error}", code="disk")
            ) from error
        return path

    def waiting(self) -> list[tuple[Path, tuple[Happening, ...]]]:
        """The files of observations, the oldest first; one that cannot be read is no observation."""
        found = []
        for path in _files(self.folder / "seen", ".jsonl")[:MOST]:
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
                found.append((path, tuple(read_happening(json.loads(line)) for line in lines)))
            except (OSError, ValueError, KeyError, TypeError):
                path.unlink(missing_ok=True)
        return sorted(found, key=lambda one: min((h.at for h in one[1]), default=datetime.max))

    def drop(self, path: Path | None) -> None:
        """Forget observations that are in the ledger."""
        if path is not None:
            path.unlink(missing_ok=True)

    # --- messages that left ---

    def begin(self, delivery: Delivery) -> None:
        """A message is about to leave, and tells of these incidents."""
        try:
            lines = [incident.id for incident in delivery.incidents] + ["digest"] * delivery.digest
            text = "\n".join(lines)
            write_atomic(self._begun(delivery), text, sync=True)
        except OSError:
            return

    def begun(self, delivery: Delivery) -> frozenset[str] | None:
        """The incidents of which a message told when it was about to leave; None where it was not."""
        found = _read(self._begun(delivery))
        return found.incidents if found is not None else None

    def tried(self) -> dict[tuple[str, str], Begun]:
        """All openings that were about to leave."""
        found = {}
        for path in _files(self.folder / "sent", ".tells"):
            lead, _, rest = path.name.removesuffix(".tells").partition(".")
            message, _, channel = rest.partition(".")
            begun = _read(path) if message in ("opened", "closed") else None
            if begun is not None:
                found[channel, lead] = begun
        return found

    def left(self, delivery: Delivery) -> str | None:
        """What the channel called a message that left from here; None where none did."""
        try:
            return self._sent(delivery).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def mark(self, delivery: Delivery, ref: str) -> None:
        """A message left. That this cannot be kept is no reason to stop: it is said in the ledger next."""
        try:
            write_atomic(self._sent(delivery), ref, sync=True)
        except OSError:
            return

    def tidy(self, now: datetime) -> None:
        """Forget what left long ago: the ledger knows it."""
        for path in _files(self.folder / "sent", ""):
            try:
                if path.stat().st_mtime < (now - KEEP).timestamp():
                    path.unlink()
            except OSError:
                continue

    def forget(self, delivery: Delivery) -> None:
        """A message did not leave."""
        self._begun(delivery).unlink(missing_ok=True)

    def _begun(self, delivery: Delivery) -> Path:
        return self.folder / "sent" / f"{delivery.id}.{delivery.channel}.tells"

    def _sent(self, delivery: Delivery) -> Path:
        return self.folder / "sent" / f"{delivery.id}.{delivery.channel}"


def _read(path: Path) -> Begun | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    return Begun(frozenset(lines) - {"digest"}, "digest" in lines)


def _files(folder: Path, suffix: str) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_file() and p.name.endswith(suffix))
    except OSError:
        return []
