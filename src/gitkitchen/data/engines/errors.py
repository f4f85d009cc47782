"""What engines raise: the same for each of them, and importable without any."""

from __future__ import annotations

from gitkitchen.errors import Mistake, Problem


class SqlError(Mistake):
    """The engine refused a statement. ``line`` counts from 1 within the user's text."""

    def __init__(self, message: str, line: int = 1) -> None:
        self.message, self.line = message, line
        super().__init__(Problem(f"line {line}: {message}" if line > 1 else message))


class Interrupted(Exception):
    """The statement was interrupted on purpose."""
