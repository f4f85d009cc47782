"""The grammar of expressions: a text becomes a tree, by recursive descent with a bounded depth.

Forms of a tree: ``("literal", value)``, ``("name", word)``, ``("item", tree, key tree)``,
``("list", trees)``, ``("call", word, trees)``, ``("not", tree)``, ``(operator, tree, tree)``.
"""

from __future__ import annotations

import re
from typing import Any

from gitkitchen.frozen import dataclass

MAX_LENGTH = 2_000
MAX_TOKENS = 200
MAX_DEPTH = 30

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z_0-9]))
    | (?P<text>'(?:[^']|'')*'|"[^"]*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||==|!=|<=|>=|\*\*|[<>!+\-*/%.,()\[\]])
    )""",
    re.VERBOSE,
)
_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_REFUSED = {
    "**": "there is no power (**)",
    "lambda": "there is no lambda",
    "if": "there is no if; use `condition && value || other`",
    "for": "there are no loops",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression, the dotted names that it reads and the functions that it calls."""

    tree: Any
    names: frozenset[str]
    functions: frozenset[str]


def parse(text: str) -> Expression:
    """Parse one expression. Raises ValueError with the reason."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH:,} characters")
    if not text.strip():
        raise ValueError("the expression is empty")
    parser = _Parser(_tokens(text))
    tree = parser.either(0)
    if parser.peek():
        parser.unexpected()
    names: set[str] = set()
    functions: set[str] = set()
    _collect(tree, names, functions)
    return Expression(tree, frozenset(names), frozenset(functions))


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].strip()
            if rest[0] in "'\"":
                raise ValueError(f"the text {rest[:20]} is not closed")
            raise ValueError(f"'{rest[0]}' means nothing in an expression")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
        if len(tokens) > MAX_TOKENS:
            raise ValueError(f"an expression has at most {MAX_TOKENS} words and signs")
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> str:
        """The next sign or word; a text or number is no sign, so it reads as a blank."""
        if self._at >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._at]
        return text if kind in ("sign", "word") else " "

    def take(self, *texts: str) -> str:
        found = self.peek()
        if found and found in texts:
            self._at += 1
            return found
        return ""

    def want(self, text: str) -> None:
        if not self.take(text):
            self.unexpected(f"; '{text}' is expected")

    def unexpected(self, more: str = "") -> None:
        if self._at >= len(self._tokens):
            raise ValueError(f"the expression ends too early{more}")
        text = self._tokens[self._at][1]
        raise ValueError(_REFUSED.get(text, f"'{text[:30]}' is not expected here{more}"))

    def either(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"the expression is nested more than {MAX_DEPTH} levels deep")
        tree = self.both(depth)
        while self.take("||", "or"):
            tree = ("or", tree, self.both(depth))
        return tree

    def both(self, depth: int) -> Any:
        tree = self.negated(depth)
        while self.take("&&", "and"):
            tree = ("and", tree, self.negated(depth))
        return tree

    def negated(self, depth: int) -> Any:
        nots = 0
        while self.take("!", "not"):
            nots += 1
        tree = self.compared(depth)
        if nots % 2:
            return ("not", tree)
        return ("not", ("not", tree)) if nots else tree

    def compared(self, depth: int) -> Any:
        tree = self.sum(depth)
        found = self.take(*_COMPARISONS)
        if not found and self.peek() == "not":
            self._at += 1
            self.want("in")
            found = "not in"
        if not found:
            return tree
        tree = (found, tree, self.sum(depth))
        if self.peek() in _COMPARISONS:
            raise ValueError("comparisons are not chained; join them with &&")
        return tree

    def sum(self, depth: int) -> Any:
        tree = self.product(depth)
        while sign := self.take("+", "-"):
            tree = (sign, tree, self.product(depth))
        return tree

    def product(self, depth: int) -> Any:
        tree = self.signed(depth)
        while sign := self.take("*", "/", "%"):
            tree = (sign, tree, self.signed(depth))
        return tree

    def signed(self, depth: int) -> Any:
        minus = 0
        while self.take("-"):
            minus += 1
        tree = self.reached(depth)
        return ("-", ("literal", 0), tree) if minus % 2 else tree

    def reached(self, depth: int) -> Any:
        tree = self.primary(depth)
        while sign := self.take(".", "["):
            if sign == ".":
                if self._at >= len(self._tokens) or self._tokens[self._at][0] != "word":
                    self.unexpected()
                tree = ("item", tree, ("literal", self._tokens[self._at][1]))
                self._at += 1
            else:
                tree = ("item", tree, self.either(depth + 1))
                self.want("]")
        return tree

    def primary(self, depth: int) -> Any:
        if self.take("("):
            tree = self.either(depth + 1)
            self.want(")")
            return tree
        if self.take("["):
            return ("list", self.listed("]", depth))
        if self._at >= len(self._tokens):
            self.unexpected()
        kind, text = self._tokens[self._at]
        if kind == "sign" or text in _REFUSED:
            self.unexpected()
        self._at += 1
        if kind == "text":
            return ("literal", text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1])
        if kind == "number":
            return ("literal", _number(text))
        if text in _LITERALS:
            return ("literal", _LITERALS[text])
        if self.take("("):
            return ("call", text, self.listed(")", depth))
        return ("name", text)

    def listed(self, end: str, depth: int) -> tuple[Any, ...]:
        items: list[Any] = []
        while not self.take(end):
            if items:
                self.want(",")
            items.append(self.either(depth + 1))
        return tuple(items)


def _number(text: str) -> int | float:
    if len(text) > 30:
        raise ValueError("a number has at most 30 digits")
    value = int(text) if text.isdigit() else float(text)
    if abs(value) > 2**63:
        raise ValueError("the number is too large")
    return value


def _collect(tree: Any, names: set[str], functions: set[str]) -> None:
    """Note each dotted name as far as its keys are literal: ``vars.a['b'][x]`` reads ``vars.a.b`` and x."""
    path: list[str] = []
    inner = tree
    while inner[0] == "item":
        if inner[2][0] == "literal":
            path.append(str(inner[2][1]))
        else:
            path.clear()
            _collect(inner[2], names, functions)
        inner = inner[1]
    if inner[0] == "name":
        names.add(".".join([inner[1], *reversed(path)]))
    elif inner[0] == "call":
        functions.add(inner[1])
    for part in inner[1:]:
        if isinstance(part, tuple) and part:
            if isinstance(part[0], tuple):
                for item in part:
                    _collect(item, names, functions)
            elif inner[0] != "literal":
                _collect(part, names, functions)
