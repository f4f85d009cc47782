"""The names in expressions: which may stand where, which exist, and what has its value already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitkitchen.document.words import near, short
from gitkitchen.errors import Mistake, Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import Template
from gitkitchen.recipe import render

EARLY = frozenset({"vars", "kitchen"})
LATE = EARLY | {"matrix", "secrets", "nodes", "needs", "run"}
CONDITION = EARLY | {"nodes", "needs", "run"}
RUN = ("id", "interval_start", "interval_end", "commit", "tree")

Reason = tuple[str, str]
"""What is wrong with an expression, and the next step."""
Found = tuple[Any, list[Reason]]
"""A value, or the reasons why there is none."""


@dataclass(frozen=True, slots=True)
class Names:
    """``early``: the values of ``vars`` and ``kitchen``; ``nodes``: the recipe's nodes."""

    early: Mapping[str, Any]
    nodes: frozenset[str]

    def now(self, text: str) -> Found:
        """The value of a text whose expressions read variables and the kitchen alone."""
        try:
            return render.evaluate(text, self.early), []
        except Mistake as error:
            late = _roots(text) & (LATE - EARLY)
            hint = f"only `with:`, `env:` and `if:` know {', '.join(sorted(late))}" if late else ""
            return None, [(error.problems[0].message, hint)]

    def later(self, text: str, place: Place, node: Mapping[str, Any]) -> Found:
        """The same, or a Template where something is named that only a run knows."""
        try:
            if render.roots(text) <= EARLY:
                return self.now(text)
        except ValueError as error:
            return None, [(f"the expression '{short(text)}' cannot be read: {error}", "")]
        return Template(text, place), list(self._wrong(text, node, LATE))

    def condition(self, text: str, node: Mapping[str, Any]) -> Found:
        """The text of an ``if:``; one that depends on variables alone is tried."""
        wrong = list(self._wrong(text, node, CONDITION, bare=True))
        if wrong:
            return None, wrong
        calls = render.functions(text, bare=True) & render.STATUS
        if not calls and render.roots(text, bare=True) <= EARLY:
            try:
                render.condition(text, self.early)
            except Mistake as error:
                return None, [(error.problems[0].message, "")]
        return text, []

    def _wrong(
        self, text: str, node: Mapping[str, Any], allowed: frozenset[str], *, bare: bool = False
    ) -> Iterator[Reason]:
        said = list(render.check(text, bare=bare))
        if not said:
            if not bare and (calls := render.functions(text) & render.STATUS):
                said.append(f"{min(calls)}() is known only in `if:`")
            for name in sorted(render.variables(text, bare=bare)):
                said += self._unknown(name, node, allowed)
        for reason in said:
            yield f"the expression '{short(text)}': {reason}", ""

    def _unknown(self, name: str, node: Mapping[str, Any], allowed: frozenset[str]) -> Iterator[str]:
        """Why a dotted name can have no value, if so."""
        root, _, rest = name.partition(".")
        first = rest.split(".", 1)[0]
        if root not in allowed:
            where = " here" if root in LATE else ""
            yield f"'{root}' is not known{where}; known are {', '.join(sorted(allowed))}"
        elif root in EARLY:
            try:
                render.evaluate(f"${{{{ {_spelled(name)} }}}}", self.early)
            except Mistake as error:
                yield error.problems[0].message.rpartition("cannot be evaluated: ")[2]
        elif first and first not in (known := self._known(root, node)):
            missing = {
                "matrix": "is no key of strategy.matrix",
                "secrets": f"is not in this node's `secrets: [{', '.join(known)}]`",
                "nodes": "is no node of this recipe",
                "needs": "is not in this node's `needs:`",
                "run": "does not exist",
            }[root]
            hint = near(first, known)
            yield f"{root}.{first} {missing}{f'; {hint}' if hint else ''}"

    def _known(self, root: str, node: Mapping[str, Any]) -> list[str]:
        if root == "matrix":
            matrix = (node.get("strategy") or {}).get("matrix")
            return list(matrix) if isinstance(matrix, dict) else []
        if root == "run":
            return list(RUN)
        return sorted(self.nodes) if root == "nodes" else list(node.get(root) or [])


def variables(marked: Iterable[str]) -> set[str]:
    """The variables that texts with expressions read, dotted, without ``vars.``; none for unreadable ones."""
    names: set[str] = set()
    for text in marked:
        try:
            names |= {n.partition(".")[2] for n in render.variables(text) if n.startswith("vars.")}
        except ValueError:
            continue  # told where the text is rendered
    return names


def _spelled(name: str) -> str:
    """A dotted name as an expression again; its parts may be no words."""
    root, *rest = name.split(".")
    quoted = (part.replace("'", "''") for part in rest)
    return root + "".join(f"[{p}]" if p.isdigit() else f"['{p}']" for p in quoted)


def _roots(text: str) -> set[str]:
    try:
        return render.roots(text)
    except ValueError:
        return set()
