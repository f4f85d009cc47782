"""Files of what was worked out before, with the digest of their content: what is not whole does not count."""

from __future__ import annotations

from pathlib import Path

from gitkitchen.files import digest_bytes, write_atomic


def keep(path: Path, text: str) -> None:
    """Write a text so that ``kept`` gives it back. Raises OSError."""
    raw = text.encode()
    write_atomic(path, digest_bytes(raw).encode() + b"\n" + raw)


def kept(path: Path) -> str | None:
    """The text that was kept; None where there is none, or it is not as it was."""
    try:
        digest, _, raw = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return raw.decode() if digest_bytes(raw).encode() == digest else None
