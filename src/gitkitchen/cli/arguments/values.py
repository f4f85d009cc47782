"""Values of arguments: what is none says why."""

from __future__ import annotations

import argparse
from typing import Any


def jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 256):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no whole number from 1 to 256")
    return int(text)


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port")
    return int(text)


def moment(text: str) -> Any:
    from datetime import datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no moment such as 2026-12-18T16:00Z") from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} has no time zone: write 2026-12-18T16:00Z")
    return found


def interval(text: str) -> Any:
    from gitkitchen.schedule.shapes import Interval

    try:
        return Interval.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no interval FROM--TO: {error}") from None


def day(text: str) -> Any:
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no day such as 2013-01-01") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def duration(text: str) -> float:
    from gitkitchen.kitchen.settings import duration

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def bytes(text: str) -> int:
    from gitkitchen.kitchen.settings import size

    try:
        return size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
