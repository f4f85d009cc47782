"""What a SQL text means: the digest of its tokens without comments and layout.

Keywords and function names count in one case. A name counts in the case in which it is written wherever
DuckDB shows that case in a column's name, for then another case is other data.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from sqlglot import Token, exp
from sqlglot.parser import Parser

from gitkitchen.files import digest

_LITERALS = frozenset({"STRING", "IDENTIFIER", "NUMBER"})
# The words that name nothing unless they are quoted, or stand after AS or a point, or before a colon.
_RESERVED = frozenset(
    {"ALL", "AND", "ANY", "ARRAY", "AS", "ASC", "BOTH", "CASE", "CAST", "DESC", "DISTINCT", "ELSE", "END"}
    | {"EXCEPT", "FALSE", "FETCH", "FROM", "GROUP", "HAVING", "IN", "INTERSECT", "INTO", "LAMBDA", "LATERAL"}
    | {"LEADING", "LIMIT", "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER", "PIVOT", "PLACING", "QUALIFY"}
    | {"SELECT", "SOME", "THEN", "TRAILING", "TRUE", "UNION", "UNPIVOT", "USING", "WHEN", "WHERE", "WINDOW"}
    | {"WITH"}
)
_PAIRS = frozenset({"GROUP_BY", "ORDER_BY", "PARTITION_BY"})
_JOINS = frozenset({"LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "SEMI", "ANTI", "ASOF", "POSITIONAL"})


class Nodes:
    """A tree's nodes by their class, in the order of the text: one walk for all that look."""

    def __init__(self, tree: exp.Expr) -> None:
        self._found: dict[type[Any], list[Any]] = {}
        for node in tree.dfs():
            self._found.setdefault(type(node), []).append(node)

    def all(self, *kinds: type[Any]) -> list[Any]:
        """Every node of some kinds, or of kinds derived from them."""
        return [n for cls, nodes in self._found.items() if issubclass(cls, kinds) for n in nodes]


def slice_of(text: str, token: Token) -> str:
    """A token as it is written."""
    return text[token.start : token.end + 1]


def meaning_of(text: str, tokens: list[Token], nodes: Nodes | None) -> str:
    """The digest of the tokens: comments and layout gone, keywords in one case, names as written."""
    words = _Words.of(nodes, tokens) if nodes is not None and not _tells_names(tokens) else None
    parts: list[Any] = []
    before: Token | None = None
    callers: list[str] = [""]  # what stands before each parenthesis that is open
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        written, kind = slice_of(text, token), token.token_type.name
        word = written
        if kind in _LITERALS or kind.endswith("_STRING"):
            # Two strings side by side are one string only where a line ends between them.
            if before is not None and before.token_type.name == kind == "STRING":
                parts.append("\n" in text[before.end + 1 : token.start])
        elif words is not None and words.in_any_case(before, token, after, callers[-1]):
            word = written.upper()
        if kind == "L_PAREN":
            callers.append(before.text.upper() if before is not None else "")
        elif kind == "R_PAREN" and len(callers) > 1:
            callers.pop()
        parts.append(word)
        before = token
    return digest(parts)


def _tells_names(tokens: list[Token]) -> bool:
    """Whether a function is called that makes data of how an expression is written."""
    return any(t.text.lower() == "alias" and n.text == "(" for t, n in pairwise(tokens))


class _Words(NamedTuple):
    """Which words of a text may count in any case, for DuckDB shows their case nowhere.

    ``keep`` and ``fold`` are offsets of names that count as written, or in any case. ``types`` are the
    kinds of tokens that name types; none where a column without a name of its own could show them.
    Only words that cannot be names where they stand are folded: what is not known stays as written.
    """

    keep: frozenset[int]
    fold: frozenset[int]
    types: frozenset[Any]

    @classmethod
    def of(cls, nodes: Nodes, tokens: list[Token]) -> _Words:
        from sqlglot import exp

        keep: set[int] = set()
        fold: set[int] = set()
        rows = {c.name.lower() for c in nodes.all(exp.Column) if not c.table}
        for name in nodes.all(exp.Identifier):
            start = name.meta.get("start")
            if start is not None and not name.quoted:
                (fold if _is_hidden(name, rows) else keep).add(start)
        for first, second, unit in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if first.text.upper() == "INTERVAL" and second.token_type.name == "NUMBER":
                fold.add(unit.start)
        types = frozenset[Any]() if _shows_types(nodes) else frozenset(Parser.TYPE_TOKENS)
        return cls(frozenset(keep), frozenset(fold - keep), types)

    def in_any_case(self, before: Token | None, token: Token, after: Token | None, caller: str) -> bool:
        """Whether a token that is no literal is a keyword, a function or a name that stays inside.

        ``caller`` is what stands before the parenthesis around it.
        """
        if token.start in self.fold:
            return True
        previous, following = (t.text.upper() if t is not None else "" for t in (before, after))
        if token.start in self.keep or following in (":", ":=", "=>"):
            return False
        if token.token_type in self.types and (
            previous == "::" or (previous == "AS" and caller in ("CAST", "TRY_CAST"))
        ):
            return True
        if previous in ("AS", "."):
            return False
        word, kind = token.text.upper(), token.token_type.name
        if word in _RESERVED or kind in _PAIRS or (kind == "VAR" and following == "("):
            return True
        return _is_keyword(word, previous, following, after)


def _is_keyword(word: str, previous: str, following: str, after: Token | None) -> bool:
    """Whether a word that could be a name elsewhere is none between its neighbours."""
    kind = after.token_type.name if after is not None else ""
    if word == "OVER":
        return previous == ")" and following == "("
    if word == "IS":
        return following in ("NULL", "NOT", "TRUE", "FALSE")
    if word in ("INTERVAL", "BETWEEN"):
        return kind in ("NUMBER", "STRING")
    if word == "JOIN":
        return kind in ("VAR", "IDENTIFIER", "L_PAREN")
    return word in _JOINS and following in ("JOIN", "OUTER")


def _is_hidden(name: exp.Expr, rows: set[str]) -> bool:
    """Whether a name's case cannot be seen: a table's (unless its row is a column: ``rows``), a column's
    in WHERE, GROUP BY, ON, …

    Not where a column without a name of its own shows the text, nor after or before a point: ``j.A``
    may be a field of JSON, whose case counts.
    """

    parent = name.parent
    if not isinstance(parent, (exp.Table, exp.Column)) or _is_shown(name):
        return False
    if isinstance(parent, exp.Table):
        return name.arg_key == "this" and name.name.lower() not in rows
    if parent.table or isinstance(parent.parent, exp.Dot):
        return False
    node: Any = parent
    while node.parent is not None and not isinstance(node.parent, exp.Query):
        if isinstance(node.parent, exp.Join):
            return bool(node.arg_key == "on")
        node = node.parent
    return isinstance(node, (exp.Where, exp.Having, exp.Group, exp.Qualify))


def _is_shown(node: Any) -> bool:
    """Whether a node is part of what names a column by its text: a result without a name, a pivot."""

    while node is not None:
        if isinstance(node, exp.Pivot) or _is_nameless(node):
            return True
        node = node.parent
    return False


def _is_nameless(node: exp.Expr) -> bool:
    return (
        isinstance(node.parent, exp.Select)
        and node.arg_key == "expressions"
        and not isinstance(node, (exp.Alias, exp.Star))
    )


def _shows_types(nodes: Nodes) -> bool:
    """Whether some column has no name but its expression, in which DuckDB shows a type as written."""

    return bool(nodes.all(exp.DataType)) and (
        bool(nodes.all(exp.Pivot))
        or any(
            _is_nameless(e) and not isinstance(e, exp.Column)
            for select in nodes.all(exp.Select)
            for e in select.expressions
        )
    )
