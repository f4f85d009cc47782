"""Words, numbers and names as people read them, safe for every terminal and page.

What comes from data, files or programs passes ``safe`` (one line) or ``safe_lines`` before it is shown:
control, format and bidirectional characters and lone surrogates become visible escapes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from gitkitchen.model import Severity, State, TestState, Verdict

SYMBOLS: dict[str, str] = {
    State.PASSED: "✓",
    State.REUSED: "=",
    State.FAILED: "✗",
    State.ERROR: "✗",
    State.TIMED_OUT: "✗",
    State.CANCELLED: "■",
    State.BLOCKED: "▪",
    State.SKIPPED: "-",
    "warn": "!",
    "log": "·",
}
"""A mark for each state, never shown without its word or an explanation beside it."""

WORDS: dict[str, str] = {
    State.PASSED: "passed",
    State.REUSED: "reused",
    State.FAILED: "failed",
    State.ERROR: "error",
    State.TIMED_OUT: "timed out",
    State.CANCELLED: "cancelled",
    State.BLOCKED: "blocked",
    State.SKIPPED: "skipped",
}

VERDICTS: dict[Verdict, str] = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.INFRASTRUCTURE: "could not check",
    Verdict.NOTHING_TESTED: "nothing was tested",
    Verdict.CANCELLED: "cancelled",
}

ASCII = str.maketrans(
    {
        "✓": "+",
        "✗": "x",
        "■": "#",
        "▪": "o",
        "·": "-",
        "…": "...",
        "→": "->",
        "×": "x",
        "─": "-",
        "—": "-",
        "–": "-",
        "’": "'",
        "∷": ": :",
        "♯": "# ",
        "\N{MICRO SIGN}": "u",
    }
)
"""For streams that cannot say more than ASCII: ``text.translate(ASCII)``."""


def safe(text: str) -> str:
    """Any text as one printable line; what a terminal could act on becomes a visible escape."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if named:
        return named
    if unicodedata.category(char) == "Zs":
        return " "
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def safe_lines(text: str) -> list[str]:
    """Any text as printable lines (tabs become four spaces), without empty lines at its ends."""
    lines = [safe(line.replace("\t", "    ")).rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def one_line(text: str) -> str:
    """A text of several lines joined with spaces into one, safe."""
    return " ".join(part for line in safe_lines(text) if (part := line.strip()))


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates become U+FFFD, all else stays."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encodable_values(value: Any) -> Any:
    """A value of JSON whose texts, keys included, UTF-8 can hold."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(k): encodable_values(v) for k, v in value.items()}
    if isinstance(value, list):
        return [encodable_values(v) for v in value]
    return value


def for_runners(whole: str) -> str:
    """A job's log is read for commands: ``::`` where a line begins and ``##[`` anywhere get another look."""
    return re.sub(r"(?m)^((?:[^\S\n]|\x1b\[[0-9;]*m)*+)::", r"\1∷", whole).replace("##[", "♯#[")


# --- numbers ---------------------------------------------------------------------------------


def number(value: float) -> str:
    """``336776`` -> ``336,776``; fractions keep up to four digits."""
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 else f"{value:.3g}"


def count(amount: int, one: str, many: str = "") -> str:
    """``1 node``, ``1,000 nodes``."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def share(part: int, whole: int) -> str:
    """``50,094 of 336,776 rows (14.9%)``; a tiny share never reads 0%, a large one never 100%."""
    if not whole:
        return f"{part:,} of {whole:,} rows"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        said = "under 0.1%"
    elif 99.9 < percent < 100:
        said = "over 99.9%"
    else:
        said = f"{percent:.1f}".removesuffix(".0") + "%"
    return f"{part:,} of {whole:,} rows ({said})"


def duration(seconds: float) -> str:
    """Seconds for people: ``12 ms``, ``3.2 s``, ``2 min 05 s``, ``1 h 02 min``, ``3 d 4 h``."""
    if seconds < 0.0005:
        return "0 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def size(amount: int) -> str:
    """Bytes for people, in powers of 1,000: ``999 B``, ``1.2 MB``."""
    if amount < 1000:
        return f"{amount} B"
    value = float(amount)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.1f} PB"


def moment(time: datetime) -> str:
    """A time in UTC to the second: ``2026-11-21 07:01:36 UTC``."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


# --- layout in cells of a terminal ---------------------------------------------------------------


def cells(text: str) -> int:
    """How many columns of a terminal a printable text fills."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, width: int) -> str:
    """Cut a text to so many columns, the last one an ellipsis where something was cut."""
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    kept, used = [], 0
    for char in text:
        used += _cells_of(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def clip_bytes(text: str, limit: int) -> str:
    """Cut a text to so many bytes of UTF-8, the last character an ellipsis where something was cut."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    return raw[: max(0, limit - 3)].decode("utf-8", "ignore").rstrip() + "…" if limit >= 3 else ""


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill with spaces to so many columns, after the text or (``right``) before it."""
    space = " " * max(0, width - cells(text))
    return space + text if right else text + space


def wrap(text: str, width: int) -> list[str]:
    """Break a line at spaces into lines of at most ``width`` columns; a longer word is cut in pieces."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        for piece in _pieces(word, width):
            joined = f"{line} {piece}" if line else piece
            if cells(joined) <= width:
                line = joined
            else:
                lines.append(line)
                line = piece
    return [*lines, line] if line else lines


def _pieces(word: str, width: int) -> Iterable[str]:
    while cells(word) > width > 1:
        end = width
        while cells(word[:end]) > width:
            end -= 1
        yield word[:end]
        word = word[end:]
    yield word


def is_number(text: str) -> bool:
    """Whether a cell reads as a plain number (then it is set flush right)."""
    stripped = text.lstrip("+-").replace(",", "", text.count(",")).replace(".", "", 1)
    return stripped.isascii() and stripped.isdigit()


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str], widest: int = 30) -> list[str]:
    """Columns of text under their names; a column of numbers is set flush right. Cells must be safe."""
    columns = range(len(head))
    cut = [[clip(cell, widest) for cell in row] for row in [head, *rows]]
    widths = [max(cells(row[i]) for row in cut) for i in columns]
    right = [bool(rows) and all(is_number(row[i]) or row[i] in ("", "-") for row in rows) for i in columns]
    return ["  ".join(pad(row[i], widths[i], right=right[i]) for i in columns).rstrip() for row in cut]


def names(items: Sequence[str], most: int = 0) -> str:
    """``a, b, c``; with ``most``, ``a, b and 3 more``. Names are made safe and cut to 63 columns."""
    cut = len(items) if not most or len(items) <= most + 1 else most
    shown = ", ".join(clip(safe(item), 63) for item in items[:cut])
    return f"{shown} and {len(items) - cut:,} more" if cut < len(items) else shown


def severity_word(severity: Severity, state: TestState) -> str:
    """How a test ended, its severity included: ``failed``, ``warning``, ``noted``, ``not evaluated``."""
    if state is TestState.ERROR:
        return "not evaluated" if severity is Severity.STOP else f"not evaluated ({severity.value})"
    if state is not TestState.FAILED:
        return state.value
    return {Severity.STOP: "failed", Severity.WARN: "warning", Severity.LOG: "noted"}[severity]
