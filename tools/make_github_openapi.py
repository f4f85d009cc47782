"""Makes ``src/gitkitchen/github/forge/openapi.json`` from GitHub's own OpenAPI description, and
``tests/github/webhooks.json`` with the payloads of events.

    npm pack @octokit/openapi@VERSION && tar xzf octokit-openapi-VERSION.tgz
    python tools/make_github_openapi.py package

Only the operations that the forge answers are kept, and of them only what can be checked: prose and examples
are left out. Schemas are written as JSON Schema 2020-12 (OpenAPI 3.0 says ``nullable`` instead of a type).
The description is published under the MIT license: https://github.com/octokit/openapi
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src" / "gitkitchen" / "github" / "forge" / "openapi.json"
WEBHOOKS = Path(__file__).parent.parent / "tests" / "github" / "webhooks.json"
EVENTS = """
create delete push merge-group-checks-requested workflow-dispatch repository-dispatch-sample.collected
issue-comment-created issue-comment-edited issue-comment-deleted pull-request-review-submitted
pull-request-opened pull-request-synchronize pull-request-reopened pull-request-closed
workflow-run-completed workflow-run-requested
"""
REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = """
GET /user
GET /users/{username}
GET /rate_limit
GET /orgs/{org}/teams/{team_slug}/members
GET /orgs/{org}/teams/{team_slug}/memberships/{username}
GET .
GET ./collaborators/{username}/permission
GET ./teams
GET ./labels
POST ./labels
GET ./branches
GET ./branches/{branch}
GET ./branches/{branch}/protection
GET ./rules/branches/{branch}
GET ./rulesets
GET ./rulesets/{ruleset_id}
GET ./contents/{path}
GET ./commits
GET ./commits/{ref}
GET ./commits/{ref}/check-runs
GET ./commits/{ref}/check-suites
GET ./commits/{ref}/status
GET ./commits/{ref}/statuses
GET ./commits/{commit_sha}/pulls
GET ./compare/{basehead}
POST ./statuses/{sha}
GET ./git/ref/{ref}
GET ./git/matching-refs/{ref}
POST ./git/refs
PATCH ./git/refs/{ref}
DELETE ./git/refs/{ref}
GET ./git/commits/{commit_sha}
POST ./git/commits
GET ./git/trees/{tree_sha}
GET ./git/blobs/{file_sha}
POST ./check-runs
GET ./check-runs/{check_run_id}
PATCH ./check-runs/{check_run_id}
GET ./check-runs/{check_run_id}/annotations
GET ./check-suites/{check_suite_id}
GET ./check-suites/{check_suite_id}/check-runs
GET ./issues
POST ./issues
GET ./issues/{issue_number}
PATCH ./issues/{issue_number}
GET ./issues/{issue_number}/comments
POST ./issues/{issue_number}/comments
GET ./issues/{issue_number}/labels
POST ./issues/{issue_number}/labels
DELETE ./issues/{issue_number}/labels/{name}
GET ./issues/comments/{comment_id}
PATCH ./issues/comments/{comment_id}
DELETE ./issues/comments/{comment_id}
GET ./issues/comments/{comment_id}/reactions
POST ./issues/comments/{comment_id}/reactions
DELETE ./issues/comments/{comment_id}/reactions/{reaction_id}
GET ./pulls
POST ./pulls
GET ./pulls/{pull_number}
PATCH ./pulls/{pull_number}
GET ./pulls/{pull_number}/files
GET ./pulls/{pull_number}/commits
GET ./pulls/{pull_number}/reviews
POST ./pulls/{pull_number}/reviews
GET ./pulls/{pull_number}/merge
PUT ./pulls/{pull_number}/merge
GET ./actions/permissions
GET ./actions/permissions/workflow
GET ./actions/workflows
GET ./actions/workflows/{workflow_id}
POST ./actions/workflows/{workflow_id}/dispatches
GET ./actions/workflows/{workflow_id}/runs
GET ./actions/runs
GET ./actions/runs/{run_id}
GET ./actions/runs/{run_id}/jobs
GET ./actions/runs/{run_id}/artifacts
POST ./actions/runs/{run_id}/cancel
GET ./actions/artifacts
GET ./actions/artifacts/{artifact_id}
GET ./actions/artifacts/{artifact_id}/{archive_format}
POST ./dispatches
GET ./deployments
POST ./deployments
GET ./deployments/{deployment_id}
GET ./deployments/{deployment_id}/statuses
POST ./deployments/{deployment_id}/statuses
GET ./environments
GET ./environments/{environment_name}
"""
PROSE = {"description", "summary", "example", "examples", "title", "externalDocs", "deprecated", "default",
         "discriminator", "readOnly", "writeOnly"}  # fmt: skip
NULL_TOO = (
    ("pull-request", "head", "repo"),
    ("pull-request-simple", "head", "repo"),
    ("workflow-run", "head_repository"),
)
"""Where GitHub answers null though its description does not allow it: the fork was deleted."""
KEPT = {
    "type", "properties", "required", "items", "enum", "oneOf", "anyOf", "allOf", "$ref", "format", "pattern",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    "additionalProperties", "nullable", "not", "uniqueItems",
}  # fmt: skip


class Trimmer:
    """One description, and the schemas of it that something kept refers to."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self.whole = whole
        self.schemas: dict[str, Any] = {}

    def resolve(self, value: dict[str, Any]) -> dict[str, Any]:
        """The object that a local reference means."""
        while "$ref" in value:
            found: Any = self.whole
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def schema(self, value: Any) -> Any:
        """A schema of OpenAPI 3.0 as one of JSON Schema 2020-12."""
        if isinstance(value, bool):
            return value
        made: dict[str, Any] = {}
        for key, part in value.items():
            if key not in KEPT:
                assert key in PROSE or key.startswith("x-"), key
                continue
            if key == "properties":
                made[key] = {name: self.schema(inner) for name, inner in part.items()}
            elif key in {"oneOf", "anyOf", "allOf"}:
                made[key] = [self.schema(inner) for inner in part]
            elif key in {"items", "not"} or (key == "additionalProperties" and isinstance(part, dict)):
                made[key] = self.schema(part)
            elif key == "$ref":
                name = part.removeprefix("#/components/schemas/")
                made[key] = f"#/$defs/{name}"
                self.keep(name)
            else:
                made[key] = part
        if made.get("additionalProperties") is True:
            del made["additionalProperties"]
        return _nullable(made)

    def keep(self, name: str) -> None:
        if name not in self.schemas:
            self.schemas[name] = None  # it may refer to itself
            self.schemas[name] = self.schema(self.whole["components"]["schemas"][name])

    def operation(self, verb: str, path: str) -> dict[str, Any]:
        """What can be checked of one operation."""
        item = self.whole["paths"][path]
        told = item[verb.lower()]
        kept: dict[str, Any] = {"id": told["operationId"]}
        parameters = {}
        for given in [*item.get("parameters", []), *told.get("parameters", [])]:
            one = self.resolve(given)
            if one["in"] in {"path", "query"}:
                about: dict[str, Any] = {"in": one["in"], "schema": self.schema(one["schema"])}
                if one.get("required"):
                    about["required"] = True
                parameters[one["name"]] = about
        if parameters:
            kept["parameters"] = parameters
        if "requestBody" in told:
            body = self.resolve(told["requestBody"])
            content = body["content"].get("application/json")
            if content is not None:
                kept["body"] = {
                    "required": bool(body.get("required")),
                    "schema": self.schema(content["schema"]),
                }
        kept["responses"] = {}
        for code, given in told["responses"].items():
            content = self.resolve(given).get("content", {})
            json_ = content.get("application/json")
            kept["responses"][code] = self.schema(json_["schema"]) if json_ and "schema" in json_ else None
        return kept


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    """``nullable`` widens a type by null; beside a reference or a choice it adds a branch."""
    if not made.pop("nullable", False):
        return made
    if "enum" in made and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if not {"oneOf", "anyOf", "allOf", "$ref"} & made.keys():
            return made
    if {"oneOf", "anyOf", "allOf", "$ref"} & made.keys():
        return {"anyOf": [made, {"type": "null"}]}
    return made


def main(package: Path) -> None:
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    trimmer = Trimmer(json.loads((package / "generated" / "api.github.com.json").read_text(encoding="utf-8")))
    operations: dict[str, Any] = {}
    for line in OPERATIONS.split("\n"):
        if line:
            verb, path = line.split(" ")
            path = REPOSITORY + path[1:] if path.startswith(".") else path
            operations[f"{verb} {path}"] = trimmer.operation(verb, path)
    for name, *path, last in NULL_TOO:
        place = trimmer.schemas[name]["properties"]
        for part in path:
            place = place[part]["properties"]
        place[last] = {"anyOf": [place[last], {"type": "null"}]}
    origin = {
        "source": "https://github.com/octokit/openapi",
        "package": f"{about['name']} {about['version']}",
        "license": about["license"],
        "made_by": "tools/make_github_openapi.py",
    }
    _write(TARGET, origin, {"operations": operations, "$defs": trimmer.schemas})
    sys.stdout.write(f"{len(operations)} operations, {len(trimmer.schemas)} schemas\n")
    trimmer.schemas = {}
    hooks = trimmer.whole.get("webhooks") or trimmer.whole["x-webhooks"]
    for name in EVENTS.split():
        content = hooks[name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        trimmer.schemas[f"event {name}"] = trimmer.schema(content)
    _write(WEBHOOKS, origin, {"operations": {}, "$defs": trimmer.schemas})


def _write(target: Path, origin: dict[str, str], parts: dict[str, dict[str, Any]]) -> None:
    """One line a part, so that a new release shows what changed."""
    lines = [f'"about": {json.dumps(origin)}']
    for key, values in parts.items():
        rows = [
            f"{json.dumps(name)}: {json.dumps(values[name], separators=(',', ':'), sort_keys=True)}"
            for name in sorted(values)
        ]
        lines.append(f'"{key}": {{\n' + ",\n".join(rows) + "\n}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
