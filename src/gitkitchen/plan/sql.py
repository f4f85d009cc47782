"""What a SQL text reads and means, found by sqlglot and kept by content; the only user of sqlglot.

A text's *meaning* is the digest of its tokens without comments and layout. Keywords and function
names count in one case. A name counts in the case in which it is written wherever DuckDB shows that
case in a column's name, for then another case is other data.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from gitkitchen.files import digest, digest_bytes
from gitkitchen.plan.cache import FactCache
from gitkitchen.plan.clock import BARE, CALLED, asked
from gitkitchen.plan.sql_facts import UNREAD, SqlFacts, Unreadable, decode, encode, position

if TYPE_CHECKING:
    from sqlglot import Token, exp

MAX_BYTES = 1_000_000
MAX_DEPTH = 100
_FIRST_WORDS = frozenset({"SELECT", "WITH", "FROM", "VALUES", "PIVOT", "UNPIVOT", "TABLE", "("})
_TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"}
    | {"regexp_split_to_table", "string_split_to_table", "flatten"}
)
_FILE_READERS = ("read_", "parquet_", "sniff_", "glob", "csv_", "iceberg_", "delta_", "sqlite_", "postgres_")
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


def analyse(text: str, *, file: str, line: int = 1, cache: FactCache | None = None) -> SqlFacts:
    """Read one SQL text that stands in ``file`` from ``line`` on.

    Mistakes are in ``problems``, with their lines in ``file``; nothing is raised.
    """
    content = digest_bytes(text.encode("utf-8", "surrogatepass"))
    raw = cache.get("sql", content) if cache else None
    facts = decode(raw, file, line)
    if facts is None:
        raw = _read(text)
        if cache:
            cache.put("sql", content, raw)
        facts = decode(raw, file, line)
    assert facts is not None, "what was just read can be decoded"
    return facts


def _read(text: str) -> dict[str, Any]:
    tokens: list[Token] = []
    try:
        tokens = _tokens(text)
        tree = _parse(text, tokens)
    except Unreadable as error:
        # Without a tree no word is known to be a mere keyword: all count as they are written.
        meaning = _meaning(text, tokens, None) if tokens else digest(text)
        problem = [error.message, *position(text, error.offset), error.hint, error.code]
        return encode(meaning=meaning, problems=[problem], impure=list(asked(text)), inferred=False)
    nodes = _Nodes(tree)
    tables, problems = _tables(text, tree)
    parameters, more = _parameters(text, nodes, tokens)
    return encode(
        tables=tables,
        parameters=parameters,
        meaning=_meaning(text, tokens, nodes),
        columns=_columns(tree),
        problems=problems + more,
        impure=_impure(tokens, nodes),
    )


class _Nodes:
    """A tree's nodes by their class, in the order of the text: one walk for all that look."""

    def __init__(self, tree: exp.Expr) -> None:
        self._found: dict[type[Any], list[Any]] = {}
        for node in tree.dfs():
            self._found.setdefault(type(node), []).append(node)

    def all(self, *kinds: type[Any]) -> list[Any]:
        """Every node of some kinds, or of kinds derived from them."""
        return [n for cls, nodes in self._found.items() if issubclass(cls, kinds) for n in nodes]


# --- tokens and tree ----------------------------------------------------------------------------


def _tokens(text: str) -> list[Token]:
    """The tokens of the one statement, without the semicolons that may end it."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(text) > MAX_BYTES:
        raise Unreadable("this SQL is longer than a million characters", hint="split it into several nodes")
    try:
        tokens = list(sqlglot.tokenize(text, dialect="duckdb"))
    except (SqlglotError, RecursionError, ValueError) as error:
        hint = "look for a quote or a comment that is not closed"
        raise Unreadable("this SQL cannot be read", hint=hint, code="sql-syntax") from error
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    while tokens and tokens[0].text == ";":
        tokens.pop(0)
    if not tokens:
        raise Unreadable("this SQL is empty", hint="write one SELECT", code="sql-empty")
    _check_shape(text, tokens)
    return tokens


def _check_shape(text: str, tokens: list[Token]) -> None:
    """One statement, a query, not nested without end (which would exhaust a parser's stack)."""
    first = tokens[0]
    if _slice(text, first).upper() not in _FIRST_WORDS:
        raise Unreadable(
            f"a sql node is one query; this begins with `{_slice(text, first)[:40]}`",
            first.start,
            "begin with SELECT, WITH or FROM; the node's name is the table that it makes",
            "sql-not-a-query",
        )
    depth = 0
    for token in tokens:
        word = _slice(text, token)
        if word == ";":
            raise Unreadable(
                "this SQL holds more than one statement",
                token.start,
                "give each statement a node of its own",
                "sql-statements",
            )
        depth += (word in ("(", "[", "{") or word.upper() == "CASE") - (
            word in (")", "]", "}") or word.upper() == "END"
        )
        if depth > MAX_DEPTH:
            raise Unreadable(f"this SQL is nested more than {MAX_DEPTH} deep", token.start, code="sql-depth")


def _parse(text: str, tokens: list[Token]) -> exp.Expr:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import ErrorLevel, ParseError, SqlglotError

    start = tokens[0].start
    hint = "if DuckDB accepts it all the same, name its inputs in `needs:`, for they cannot be inferred"
    try:
        parser = Dialect.get_or_raise("duckdb").parser(error_level=ErrorLevel.IMMEDIATE)
        tree = parser.parse(tokens, text)[0]
    except ParseError as error:
        offset, near = _where(text, error)
        message = f"this SQL cannot be read{near}: {_first_line(error)}"
        raise Unreadable(message, offset, hint, UNREAD) from error
    except (SqlglotError, RecursionError, ValueError) as error:
        raise Unreadable("this SQL cannot be read", start, hint, UNREAD) from error
    if not isinstance(tree, (exp.Query, exp.Values, exp.Pivot)):
        raise Unreadable(
            f"a sql node is one query; this is {type(tree).__name__.upper()}",
            start,
            "write a SELECT; the node's name is the table that it makes",
            "sql-not-a-query",
        )
    return tree


def _where(text: str, error: Any) -> tuple[int, str]:
    """The offset of a parser's complaint and the word that it stumbled over."""
    detail = error.errors[0] if error.errors else {}
    line, column = detail.get("line") or 1, detail.get("col") or 1
    word = str(detail.get("highlight") or "")
    starts = [0]
    for row in text.split("\n"):
        starts.append(starts[-1] + len(row) + 1)
    offset = starts[min(line, len(starts)) - 1] + max(column - len(word), 0)
    return min(offset, len(text)), f" near `{word[:40]}`" if word else ""


def _first_line(error: BaseException) -> str:
    """What the parser says, unless it speaks of its own insides."""
    text = str(error).strip().split("\n")[0].split(". Line ")[0].rstrip(".")
    return text if text and "<" not in text else "something is missing after it"


def _slice(text: str, token: Token) -> str:
    return text[token.start : token.end + 1]


# --- what it reads ------------------------------------------------------------------------------


def _tables(text: str, tree: exp.Expr) -> tuple[list[Any], list[Any]]:
    """The tables read, each once, in the order of the text; and what may not be read this way."""
    from sqlglot import exp

    found: dict[str, int] = {}
    problems: list[tuple[int, str, str, str]] = []
    for table, visible in _walk(tree):
        this = table.this
        start, written = _written(text, this)
        name = table.name.lower()
        if not isinstance(this, exp.Identifier):
            problems += _function_problem(written, start)
        elif table.db or table.catalog:
            if not (table.db.lower() == "recurring" and name in visible):
                problems.append(_qualified(table, start))
        elif name in visible:
            continue
        elif written.startswith("'") or "/" in name or "." in name:
            problems.append(
                (
                    start,
                    f"{written} reads a file past the recipe",
                    "load it in a `source` node and read that node's name here",
                    "sql-file",
                )
            )
        else:
            found[name] = min(start, found.get(name, start))
    tables = [[name, *position(text, at)] for name, at in sorted(found.items(), key=lambda i: i[1])]
    return tables, [[m, *position(text, at), hint, code] for at, m, hint, code in sorted(set(problems))]


def _walk(tree: exp.Expr) -> Iterator[tuple[exp.Table, frozenset[str]]]:
    """Each table of a tree with the names of the common table expressions that it can see.

    An expression's own name means the outer table inside itself, unless it is recursive.
    """
    from sqlglot import exp

    stack: list[tuple[exp.Expr, frozenset[str]]] = [(tree, frozenset())]
    while stack:
        node, visible = stack.pop()
        if isinstance(node, exp.Table):
            yield node, visible
        clause = node.args.get("with_") or node.args.get("with")
        if isinstance(clause, exp.With):
            for cte in clause.expressions:
                inner = visible | {cte.alias.lower()}
                stack.append((cte, inner if clause.args.get("recursive") else visible))
                visible = inner
        stack.extend((child, visible) for child in node.iter_expressions() if child is not clause)


def _written(text: str, node: Any) -> tuple[int, str]:
    """Where a name stands and how it is written there."""
    meta = getattr(node, "meta", None) or {}
    start, end = meta.get("start"), meta.get("end")
    if start is None or end is None:  # sqlglot before 30 keeps no place of the functions that it knows
        names = node.sql_names() if hasattr(node, "sql_names") and node.key != "anonymous" else [node.name]
        return max(text.lower().find(names[0].lower()), 0), names[0].lower()
    return start, text[start : end + 1]


def _qualified(table: exp.Table, start: int) -> tuple[int, str, str, str]:
    whole = ".".join(part for part in (table.catalog, table.db, table.name) if part)
    if table.db.lower() in ("information_schema", "pg_catalog"):
        return start, f"`{whole}` is not a dataset", "read the datasets themselves", "sql-qualified"
    hint = f"write `{table.name.lower()}`: a dataset is found by its name alone, in every kitchen"
    return start, f"`{whole}` names a schema", hint, "sql-qualified"


def _function_problem(written: str, start: int) -> list[tuple[int, str, str, str]]:
    name = written.lower()
    if name in _TABLE_FUNCTIONS:
        return []
    if name.startswith(_FILE_READERS):
        hint = "load it in a `source` node and read that node's name here"
        return [(start, f"`{written}()` reads files past the recipe", hint, "sql-file")]
    known = ", ".join(sorted(_TABLE_FUNCTIONS))
    hint = f"what it reads cannot be seen; table functions that can be used: {known}"
    return [(start, f"the table function `{written}()` cannot be used in a recipe", hint, "sql-function")]


def _parameters(text: str, nodes: _Nodes, tokens: list[Token]) -> tuple[list[str], list[Any]]:
    """The names of ``$name`` parameters, each once, and what is wrong with them."""
    from sqlglot import exp

    names: dict[str, None] = {}
    problems = []
    for node in nodes.all(exp.Placeholder, exp.Parameter):
        this = node.this
        name = this if isinstance(this, str) else getattr(this, "name", "")
        if name and not name.isdigit():
            names[name] = None
            continue
        at = next((t.start for t in tokens if t.text in ("?", "$")), 0)
        hint = "write $name, and give `name` a value in the node's `with:`"
        message = "parameters without a name cannot be given"
        problems.append([message, *position(text, at), hint, "sql-param"])
    return list(names), problems


def _columns(tree: exp.Expr) -> list[str] | None:
    from sqlglot import exp

    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    if not isinstance(tree, exp.Select) or not tree.expressions:
        return None
    for e in tree.expressions:
        plain = isinstance(e, exp.Column) or (isinstance(e, exp.Alias) and not e.find(exp.Columns))
        if not plain or e.is_star or not e.alias_or_name:
            return None
    return [e.alias_or_name for e in tree.expressions]


def _impure(tokens: list[Token], nodes: _Nodes) -> list[str]:
    """What answers differently each time (not columns that happen to have such names)."""
    from sqlglot import exp

    names = {node.meta.get("start") for node in nodes.all(exp.Identifier) if not node.quoted}
    found: dict[str, None] = {}
    before = ""
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        word = token.text.lower()
        known = CALLED if after is not None and after.text == "(" else BARE
        if word in known and token.start not in names and token.token_type.name != "STRING":
            found[word] = None
        elif word == "tablesample" or (word == "sample" and before == "using"):
            found["sample"] = None
        before = word
    return list(found)


# --- what it means ------------------------------------------------------------------------------

_LITERALS = frozenset({"STRING", "IDENTIFIER", "NUMBER"})


def _meaning(text: str, tokens: list[Token], nodes: _Nodes | None) -> str:
    """The digest of the tokens: comments and layout gone, keywords in one case, names as written."""
    words = _Words.of(nodes, tokens) if nodes is not None and not _tells_names(tokens) else None
    parts: list[Any] = []
    before: Token | None = None
    callers: list[str] = [""]  # what stands before each parenthesis that is open
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        written, kind = _slice(text, token), token.token_type.name
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
    def of(cls, nodes: _Nodes, tokens: list[Token]) -> _Words:
        from sqlglot import exp
        from sqlglot.parser import Parser

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
    from sqlglot import exp

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
    from sqlglot import exp

    while node is not None:
        if isinstance(node, exp.Pivot) or _is_nameless(node):
            return True
        node = node.parent
    return False


def _is_nameless(node: exp.Expr) -> bool:
    from sqlglot import exp

    return (
        isinstance(node.parent, exp.Select)
        and node.arg_key == "expressions"
        and not isinstance(node, (exp.Alias, exp.Star))
    )


def _shows_types(nodes: _Nodes) -> bool:
    """Whether some column has no name but its expression, in which DuckDB shows a type as written."""
    from sqlglot import exp

    return bool(nodes.all(exp.DataType)) and (
        bool(nodes.all(exp.Pivot))
        or any(
            _is_nameless(e) and not isinstance(e, exp.Column)
            for select in nodes.all(exp.Select)
            for e in select.expressions
        )
    )
