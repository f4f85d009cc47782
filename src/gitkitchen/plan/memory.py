"""What plans on this machine have seen, to say why something runs where nothing is published yet."""

from __future__ import annotations

from typing import Any

from gitkitchen.model import Kitchen, Project, Recipe
from gitkitchen.plan.cache import FactCache, cache_folder


class Memory:
    """The newest fingerprint of each node that a plan on this machine found in the store."""

    def __init__(self, project: Project, kitchen: Kitchen, recipe: Recipe) -> None:
        name = f"{kitchen.namespace}.{recipe.name}.seen.json"
        self._cache = FactCache(cache_folder(project) / name)
        seen = self._cache.get("seen", "")
        self._seen: dict[str, Any] = dict(seen) if isinstance(seen, dict) else {}

    def remember(self, node: str, key: str) -> None:
        self._seen[node] = key

    def recall(self, node: str) -> str:
        key = self._seen.get(node)
        return key if isinstance(key, str) else ""

    def save(self) -> None:
        self._cache.put("seen", "", self._seen)
        self._cache.save()
