"""The forge's part of a promotion: the pull request as the view of the step, and its button.

Nothing of it decides. A right that is missing takes away the view, or the button, and never a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from gitkitchen.errors import Problem
from gitkitchen.frozen import dataclass
from gitkitchen.github.merges import Step
from gitkitchen.github.surfaces import CheckRun
from gitkitchen.github.trouble import Trouble
from gitkitchen.promote.shapes import Evidence, GateResult, Intent, Landing, Standing
from gitkitchen.report.gates import as_markdown
from gitkitchen.road import checking
from gitkitchen.road.checking import Desk
from gitkitchen.road.dropped import key_of
from gitkitchen.road.effects import effect
from gitkitchen.road.looking import Stretch

if TYPE_CHECKING:
    from gitkitchen.github.api import Client

MOST = 60_000
"""Characters of a pull request's description: GitHub takes 65,536."""
_MARKED = re.compile(r"([\\`*_{}\[\]<>()#+!|~@])")


@dataclass(slots=True)
class Hub:
    """``client``: speaks with the forge. ``workflow``: the file that promotes, to be started for the next
    step ("" for none), on branch ``ref``. ``notes``: what could not be done there, for people."""

    client: Client
    workflow: str = ""
    ref: str = ""
    notes: list[str] = field(default_factory=list)
    number: int = 0
    """The pull request of this step; 0 while there is none."""
    desk: Desk = field(default_factory=Desk)
    """The job that judges, as its check says it."""
    check: CheckRun | None = None
    """The required check as it was given last."""

    def opened(self, stretch: Stretch) -> None:
        """The pull request of a step is there."""
        with effect("open-pull"):
            self.given(checking.begun(stretch, self.desk))  # before anybody could merge by an older one
            self._try(lambda: self._put(stretch, body(stretch, ())))

    def shown(self, stretch: Stretch, gates: Sequence[GateResult], evidence: Sequence[Evidence] = ()) -> None:
        """The pull request and the check tell how the step stands now. Green it is not before ``sealed``."""
        self.given(checking.judged(stretch, gates, evidence, self.desk))
        self._try(lambda: self._put(stretch, body(stretch, gates)))

    def sealed(self, stretch: Stretch, gates: Sequence[GateResult], evidence: Sequence[Evidence]) -> None:
        """The gates as they stand under the lease: where all have passed, the required check is green."""
        self.given(checking.judged(stretch, gates, evidence, self.desk, final=True))

    def withdrawn(self) -> None:
        """Something moved: what was judged is not what would land any more, and its check is not green."""
        if self.check is not None:
            self.given(checking.overtaken(self.check))

    def given(self, check: CheckRun) -> None:
        """The required check of exactly the candidate's commit."""
        self.check = check
        self._try(lambda: self.client.put_check(check))

    def _put(self, stretch: Stretch, text: str) -> None:
        step = Step(stretch.branch, stretch.environment.branch, title(stretch), text)
        self.number = self.client.put_pull(step)

    def merged(self, sha: str, subject: str, message: str) -> Problem | None:
        """Press the button for exactly this head. The problem where it was refused, and nothing changed.

        Trouble of kind ``unsure`` where it cannot be told whether it was pressed.
        """
        try:
            self.client.merge_pull(self.number, sha, subject, message)
        except Trouble as trouble:
            if trouble.kind == "unsure":
                raise
            return trouble.problem()
        return None

    def told(self, stretch: Stretch, landing: Landing, gates: Sequence[GateResult]) -> None:
        """What landed, where people look; the pull request is closed where the forge has not done it."""
        with effect("report-landed"):
            if self.number:
                marker = f"<!-- gitkitchen landing {landing.environment} {landing.commit} -->"
                self._try(lambda: self.client.put_comment(self.number, marker, landed(landing, gates)))
        with effect("close-pull"):
            self._try(lambda: self.client.close_pull(stretch.branch, landing.branch))

    def backport(self, landing: Landing, branch: str, into: str) -> int:
        """The pull request that brings a hotfix back; 0 where it could not be opened, which ``notes`` say."""
        found = list[int]()
        text = (
            f"<!-- gitkitchen backport {landing.environment} {landing.commit} -->\n"
            f"Hotfix {landing.commit} landed on `{_code(landing.branch)}`: {_plain(landing.reason)}\n\n"
            f"This is its change alone, on top of `{_code(into)}`. Until what is promoted to "
            f"{_plain(landing.environment)} has it, no promotion passes gate `hotfix`."
        )
        name = f"Bring hotfix {landing.commit[:12]} of {landing.environment} back"
        self._try(lambda: found.append(self.client.put_pull(Step(branch, into, name, text[:MOST]))))
        return found[0] if found else 0

    def next(self, names: Sequence[str], commit: str) -> None:
        """Start the promotions that follow this one: what a job's token pushes starts no workflow."""
        with effect("dispatch-next"):
            for name in names if self.workflow and self.ref else ():
                inputs = {"promote": name, "key": key_of(name, commit)}

                def start(inputs: dict[str, str] = inputs) -> None:
                    self.client.dispatch_workflow(self.workflow, self.ref, inputs, key=inputs["key"])

                self._try(start)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except Trouble as trouble:
            problem = trouble.problem()
            note = f"{problem.message}; {problem.hint}"
            if note not in self.notes:
                self.notes.append(note)


def hub_of(client: Client, environ: Mapping[str, str], default_branch: str, project: str = "") -> Hub:
    """The forge of a job. The next step is started by the workflow file that this job runs, which
    GITHUB_WORKFLOW_REF names: ``OWNER/REPO/.github/workflows/FILE@REF``."""
    path = environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    name = path.rpartition("/.github/workflows/")[2] if "/.github/workflows/" in path else ""
    return Hub(client, name, default_branch, desk=checking.desk_of(environ, project))


def title(stretch: Stretch) -> str:
    if stretch.intent is Intent.ROLLBACK:
        return f"Roll {stretch.environment.name} back ({stretch.data} {stretch.head[:12]})"
    if stretch.intent is Intent.HOTFIX:
        return f"Hotfix {stretch.head[:12]} to {stretch.environment.name}"
    return f"Promote {stretch.label} to {stretch.environment.name}"


def body(stretch: Stretch, gates: Sequence[GateResult]) -> str:
    """The description of a step: what would move, and how each gate stands."""
    base = f"`{stretch.base[:12]}`" if stretch.base else "a new branch"
    lines = [
        f"<!-- gitkitchen promote {stretch.environment.name} -->",
        f"Tree `{stretch.tree[:12]}` of `{stretch.head[:12]}` ({_plain(stretch.label)}), on {base}.",
        "",
    ]
    if gates:
        lines.append(as_markdown(gates))
        lines.append("")
    lines.append(
        "Merge it with a merge commit, while the base stands still: any other tree publishes nothing. "
        "`gitkitchen promote` lands it by itself as soon as every gate has passed."
    )
    return "\n".join(lines)[:MOST]


def landed(landing: Landing, gates: Sequence[GateResult]) -> str:
    """What is said below the pull request when it has landed."""
    count = len(landing.published)
    passed = sum(g.standing is Standing.PASSED for g in gates)
    return (
        f"Landed on `{_code(landing.branch)}` as {landing.commit}, tree `{landing.tree[:12]}`: {passed} "
        f"gates passed, {count} dataset{'' if count == 1 else 's'} published with it."
    )


def _plain(text: str) -> str:
    """Text of people in Markdown, as what it is."""
    return _MARKED.sub(r"\\\1", " ".join(text.split())).replace("\\@", "@\u200b")[:1000]


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'").replace("|", "/")[:300]
