"""The answer to `/kitchen diff <dataset>`: what the run that it started left, in place of "I started".

Nothing is judged by it and no check run is touched. The comment and the dataset stand in the title of the
run, which the default branch's workflow made of our own inputs. All else is a stranger's claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gitkitchen.document import departures
from gitkitchen.errors import GitKitchenError, Problem
from gitkitchen.github import artifacts
from gitkitchen.github.artifacts import DIFF, Refused
from gitkitchen.github.events import Event, FinishedRun
from gitkitchen.github.payload import parse
from gitkitchen.report import diff_reading
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.surfaces import reply, words
from gitkitchen.report.text import encodable_values

if TYPE_CHECKING:
    from gitkitchen.github.api import Client

MAX_BYTES = 8_000_000
"""Of the diff of one dataset."""

Left = Callable[[], Mapping[str, bytes] | Refused]
Said = Callable[[Mapping[str, bytes]], Iterable[Problem]]


def answer(
    event: Event, run: FinishedRun, client: Client, left: Left, said: Said, run_url: str
) -> tuple[str, tuple[Problem, ...]]:
    """Answer the comment that asked; a sentence for the log, and why the results were refused.

    ``left`` reads the run's artifact, ``said`` what its job could not do. Raises Trouble where GitHub does
    not answer, and Refused where the run is none that a command of ours started.
    """
    asked = artifacts.asked(run)
    assert asked is not None
    comment, dataset = asked
    head, number = artifacts.expected(event, run)
    assert number is not None
    about = reply.About(dataset, head, run_url)
    pull = client.pull(number)
    refused: tuple[Problem, ...] = ()
    if pull.state != "open" or pull.head_sha != head:
        body = reply.not_compared(about, ["the pull request has moved on: ask again"])
    else:
        try:
            files = left()
            if isinstance(files, Refused):
                raise files
            artifacts.claim_of(files, event, run)
            found = _read(files, dataset)
            why = [_sentence(p) for p in said(files)] or ["the job ended before it was done"]
            body = reply.compared(about, found) if found is not None else reply.not_compared(about, why)
        except GitKitchenError as error:
            refused = error.problems
            body = reply.not_compared(about, [_sentence(p) for p in refused])
    client.reply(number, comment, body)
    return f"#{number} at {head[:12]}: answered the diff of {dataset}", refused


def _sentence(problem: Problem) -> str:
    said = problem.message.removeprefix("the job says: ")
    return words.plain(f"{said} ({problem.hint})" if problem.hint else said, 500)


def _read(files: Mapping[str, bytes], dataset: str) -> Comparison | None:
    """The diff of that dataset and of no other; None where the job left none. Refused for anything else."""
    raw = files.get(DIFF)
    if raw is None:
        return None
    if len(raw) > MAX_BYTES:
        raise Refused(f"{DIFF} has {len(raw):,} bytes, and {MAX_BYTES:,} are the most", "diff")
    try:
        value = encodable_values(dict(parse(raw, DIFF)))
        wrong = departures(value, "diff")
        found = diff_reading.from_document(value) if not wrong else None
    except (GitKitchenError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise Refused(f"{DIFF} cannot be read: {words.plain(str(error), 200)}", "diff") from None
    if found is None:
        raise Refused(f"{DIFF} is no diff: {words.plain(wrong[0], 200)}", "diff")
    own = tuple(d for d in found.datasets if d.dataset == dataset)
    if len(own) != 1:
        raise Refused(f"{DIFF} is not about '{dataset}'", "diff")
    return replace(found, datasets=own)
