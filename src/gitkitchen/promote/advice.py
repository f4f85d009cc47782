"""Of each thing that ``doctor`` looks at: the level it is needed for, why it matters, and how to mend it.

Settings are named as GitHub's pages name them. ``docs/doctor.md`` has a row for each code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gitkitchen.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """``level``: what cannot be claimed without it."""

    level: Literal["guarded", "enforced"]
    why: str
    fix: str


_RULES = "Settings → Rules → Rulesets → the ruleset of this branch →"
_RULESET = "Settings → Rules → Rulesets → New ruleset → New branch ruleset"
_ACTIONS = "Settings → Actions → General →"
_INIT = "gitkitchen init"

ADVICE: Mapping[str, Advice] = {
    "no-environment": Advice(
        "guarded",
        "without environments there is nothing to promote to, and no branch whose data is published",
        "kitchen.yml: environments: {prod: {branch: main}}",
    ),
    "no-policy": Advice(
        "guarded",
        "without a policy no test is required, so that a change that removes all tests is green",
        "kitchen.yml: policy: {require: {recipes: […]}, changes: {by: [codeowners]}}",
    ),
    "store-on-runner": Advice(
        "guarded",
        "what a job publishes is gone when the job ends",
        "kitchen.yml: store: oci://ghcr.io/OWNER/REPOSITORY (or s3://BUCKET/PREFIX)",
    ),
    "ledger-on-runner": Advice(
        "guarded",
        "what a job records is gone when the job ends: no approval, publication or promotion is remembered",
        "kitchen.yml: ledger: branch",
    ),
    "no-code-owners": Advice(
        "enforced",
        "nobody in particular has to see a change of what is tested, and of who may allow that",
        ".github/CODEOWNERS: a line for each, such as `/.github/ @OWNER/TEAM`",
    ),
    "no-workflows": Advice(
        "guarded",
        "nothing tests a pull request, and nothing publishes",
        f"{_INIT} --action OWNER/REPO@SHA",
    ),
    "workflow-missing": Advice(
        "guarded",
        "its part of the road does not happen: nobody tests, posts, cleans up or publishes",
        f"{_INIT} (one that you removed stays away until its entry in .gitkitchen-init.json is gone, too)",
    ),
    "workflow-outdated": Advice(
        "guarded",
        "it does what an older version needed, or what kitchen.yml no longer asks for",
        _INIT,
    ),
    "workflow-conflict": Advice(
        "guarded", "GitHub cannot read it, so that it never starts", f"settle the marked lines, then {_INIT}"
    ),
    "workflow-foreign": Advice(
        "guarded", "what it does in the place of ours is not known", f"move it away, then {_INIT}"
    ),
    "workflow-edited": Advice(
        "enforced",
        "what an edited workflow lets pass nobody has tested",
        "take the edits back, or have its owners review them (CODEOWNERS)",
    ),
    "workflow-rights": Advice(
        "guarded",
        "the job fails, or cannot post what it found",
        f"give the job the right back under `permissions:`, or remove the edit and run {_INIT}",
    ),
    "no-forge": Advice(
        "guarded",
        "where no forge holds the branches, whoever has the folder moves them as they like",
        "push to a repository of GitHub or GitHub Enterprise, or set GITHUB_REPOSITORY",
    ),
    "forge-unread": Advice(
        "guarded",
        "branches, rules and settings are there, and were not seen",
        "GITHUB_TOKEN=$(gh auth token) gitkitchen doctor",
    ),
    "archived": Advice(
        "guarded", "nothing can be pushed, merged or run", "Settings → Danger Zone → Unarchive"
    ),
    "rules-not-in-plan": Advice(
        "guarded",
        "every rule about branches is ignored, even where one is written down",
        "make the repository public, or use GitHub Pro, Team or Enterprise",
    ),
    "actions-off": Advice(
        "guarded", "no workflow starts: nothing is tested and nothing is published",
        f"{_ACTIONS} Actions permissions → Allow actions",
    ),
    "actions-open-no-pulls": Advice(
        "guarded",
        "a promotion is shown as a pull request, which the promoting job opens",
        f"{_ACTIONS} Workflow permissions → Allow GitHub Actions to create and approve pull requests",
    ),
    "default-write": Advice(
        "enforced",
        "any workflow that forgets `permissions:` can push, publish and approve",
        f"{_ACTIONS} Workflow permissions → Read repository contents and packages permissions",
    ),
    "workflow-unknown": Advice(
        "guarded",
        "what posts, publishes and promotes runs from the default branch alone",
        "merge the workflow into the default branch",
    ),
    "workflow-disabled": Advice(
        "guarded",
        "its part of the road does not happen (GitHub stops schedules after 60 idle days)",
        "gh workflow enable FILE (or Actions → the workflow → Enable workflow)",
    ),
    "branch-missing": Advice(
        "guarded",
        "nothing can be promoted to an environment whose branch does not exist",
        "git push origin SOURCE:BRANCH, or name another branch in kitchen.yml",
    ),
    "unprotected": Advice(
        "guarded",
        "whoever may push moves this environment past every test and every gate",
        f"{_RULESET}: target this branch, restrict deletions, block force pushes, require a pull request, "
        "require status checks to pass: GitKitchen / (project)",
    ),
    "pull-request-optional": Advice(
        "guarded",
        "a push lands what no job has tested and nobody has seen",
        f"{_RULES} Require a pull request before merging",
    ),
    "force-push": Advice(
        "guarded",
        "a forced push takes back what was promoted, and the evidence of it",
        f"{_RULES} Block force pushes",
    ),
    "deletion": Advice(
        "guarded", "who deletes the branch ends the environment", f"{_RULES} Restrict deletions"
    ),
    "check-not-required": Advice(
        "guarded",
        "a pull request whose recipes failed, or were never run, can be merged",
        f"{_RULES} Require status checks to pass → Add checks: GitKitchen / (project)",
    ),
    "check-of-the-judged": Advice(
        "enforced",
        "who opens a pull request can edit the job that judges it; the check is posted by trusted code",
        f"{_RULES} Require status checks to pass → Add checks: GitKitchen / (project)",
    ),
    "check-of-anybody": Advice(
        "enforced",
        "a check of that name by any App or person would let a pull request pass",
        f"{_RULES} Require status checks to pass → GitKitchen / (project) → source: GitHub Actions",
    ),
    "base-may-move": Advice(
        "enforced",
        "two changes, each green by itself, can be merged to something that nobody has tested",
        f"{_RULES} Require branches to be up to date before merging",
    ),
    "other-merges": Advice(
        "enforced",
        "a promotion that is squashed or rebased loses its second parent and the trailers of its evidence, "
        "and counts as a change by hand",
        f"{_RULES} Require a pull request before merging → Allowed merge methods: Merge",
    ),
    "owners-not-asked": Advice(
        "enforced",
        "whoever may approve anything may approve another policy and other workflows",
        f"{_RULES} Require a pull request before merging → Require review from Code Owners",
    ),
    "stale-approvals": Advice(
        "enforced",
        "what was approved is not what is merged",
        f"{_RULES} Require a pull request before merging → Dismiss stale pull request approvals",
    ),
    "bypass": Advice(
        "enforced",
        "for whom rules do not count, tests and gates do not count either",
        f"{_RULES} Bypass list: empty but for the App that promotes (classic: Do not allow bypassing)",
    ),
    "ledger-unprotected": Advice(
        "guarded",
        "who rewrites the ledger rewrites who approved what, and what is published",
        f"{_RULESET}: target gitkitchen-ledger, restrict deletions, block force pushes",
    ),
    "ledger-refused": Advice(
        "guarded",
        "jobs cannot record what they did, so that nothing is published",
        "Settings → Rules → Rulesets → exclude gitkitchen-ledger from the rules that require pull requests, "
        "checks or signatures",
    ),
    "ledger-open": Advice(
        "enforced",
        "a record that a person pushes looks like one of a job",
        f"{_RULESET}: target gitkitchen-ledger, restrict updates, bypass list: the App that promotes",
    ),
    "own-branch-refused": Advice(
        "guarded",
        "a promotion is prepared on this branch before it lands",
        "Settings → Rules → Rulesets → exclude gitkitchen/** from the rules that bind all branches",
    ),
    "no-landing": Advice(
        "guarded",
        "what passed every gate cannot be brought to the branch",
        "Settings → General → Pull Requests → Allow merge commits; no linear history, queue or signatures "
        "on this branch",
    ),
    "not-atomic": Advice(
        "guarded",
        "tree and data land in one push of two refs; without it they can land one without the other",
        "promote by pull request (landing by button)",
    ),
}  # fmt: skip
