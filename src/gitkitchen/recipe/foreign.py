"""Kinds of nodes over what teams have already: results of other jobs, and dbt projects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitkitchen.files import inside
from gitkitchen.recipe.desk import Desk, Keys, Unusable


def read_results(desk: Desk, value: Any, path: Keys) -> dict[str, Any]:
    """``{"files": […]}`` relative to the repository, or ``{"of": […]}``: outputs of nodes of this recipe.

    With ``about``, ``severity``, ``min`` and ``repeats``. The files need not exist before the run.
    """
    value = desk.value(value, path)
    whole = value if isinstance(value, dict) else {"files": value}
    ways = [key for key in ("files", "of") if key in whole]
    if len(ways) != 1:
        said = " and ".join(ways) or "neither"
        hint = "say `files:` for files of the repository, or `of:` for an output of a node of this recipe"
        desk.wrong(path, f"it must say where the results are, once, and says {said}", hint, "several-kinds")
        raise Unusable
    key = ways[0]
    at: Keys = (*path, key) if isinstance(value, dict) else path
    words = _words(desk, whole[key], at)
    config: dict[str, Any] = {k: whole[k] for k in ("severity", "min", "repeats") if k in whole}
    if "about" in whole:
        paths = _words(desk, whole["about"], (*path, "about"))
        config["about"] = [desk.file(p, (*path, "about"), folders=True) for p in paths]
    config[key] = words if key == "of" else [_path(desk, word, at) for word in words]
    return config


def _path(desk: Desk, word: str, path: Keys) -> str:
    try:
        return inside(desk.project.root, word, base=desk.folder)
    except ValueError as error:
        hint = "paths are relative to the recipe's folder; give files outside with `--results`"
        desk.wrong(path, f"the path '{word[:80]}' {error}", hint, "bad-path")
        raise Unusable from None


def read_dbt(desk: Desk, value: Any, path: Keys) -> dict[str, Any]:
    """``project`` relative to the repository, ``select`` and ``exclude`` as lists, ``schema``, ``python``."""
    value = desk.value(value, path)
    whole: Mapping[str, Any] = value if isinstance(value, dict) else {"project": value}
    at: Keys = (*path, "project") if isinstance(value, dict) else path
    folder = str(whole["project"]).rstrip("/") or "."
    file = desk.file(f"{folder}/dbt_project.yml", at)
    config: dict[str, Any] = {"project": file.rpartition("/")[0] or "."}
    for key in ("select", "exclude"):
        config[key] = _words(desk, whole.get(key) or [], (*path, key))
        for word in config[key]:
            if word.startswith("-"):
                desk.wrong((*path, key), f"'{word[:80]}' is an option, not a selector", "", "wrong-value")
                raise Unusable
    config["schema"] = whole.get("schema") or "kitchen"
    config["python"] = whole.get("python")
    return config


def dbt_models(desk: Desk, outputs: Any, path: Keys) -> dict[str, str]:
    """Dataset -> model, from ``outputs:`` (a list of models, or a mapping)."""
    if not isinstance(outputs, dict):
        return {str(name): str(name) for name in outputs or ()}
    models: dict[str, str] = {}
    for dataset, model in outputs.items():
        models[dataset] = str(model or dataset)
        twice = next((d for d, m in models.items() if m == models[dataset] and d != dataset), None)
        if twice is not None:
            message = f"the model '{models[dataset][:80]}' is '{twice}' already"
            desk.wrong((*path, dataset), message, "give each model one dataset", "said-twice")
    return models


def _words(desk: Desk, value: Any, path: Keys) -> list[str]:
    """A text, or a list of texts; an expression may give either."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(w, str) and w and "\0" not in w for w in words):
        desk.wrong(path, f"must be a text or a list of texts, not {value!r:.80}")
        raise Unusable
    return list(words)
