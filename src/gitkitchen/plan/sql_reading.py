"""What a SQL text reads: its tables, parameters, columns, and what of it may not be read this way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlglot import Token, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError

from gitkitchen.files import digest
from gitkitchen.plan.clock import BARE, CALLED, asked
from gitkitchen.plan.sql_facts import UNREAD, Unreadable, encode, position
from gitkitchen.plan.sql_meaning import Nodes, meaning_of, slice_of

MAX_BYTES = 1_000_000
MAX_DEPTH = 100
_FIRST_WORDS = frozenset({"SELECT", "WITH", "FROM", "VALUES", "PIVOT", "UNPIVOT", "TABLE", "("})
_TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"}
    | {"regexp_split_to_table", "string_split_to_table", "flatten"}
)
_FILE_READERS = ("read_", "parquet_", "sniff_", "glob", "csv_", "iceberg_", "delta_", "sqlite_", "postgres_")


def read(text: str, dialect: str = "duckdb") -> dict[str, Any]:
    """The facts of one SQL text, as the cache keeps them. Mistakes are among them; nothing is raised."""
    tokens: list[Token] = []
    try:
        tokens = _tokens(text, dialect)
        tree = _parse(text, tokens, dialect)
    except Unreadable as error:
        # Without a tree no word is known to be a mere keyword: all count as they are written.
        meaning = meaning_of(text, tokens, None) if tokens else digest(text)
        problem = [error.message, *position(text, error.offset), error.hint, error.code]
        return encode(meaning=meaning, problems=[problem], impure=list(asked(text)), inferred=False)
    nodes = Nodes(tree)
    tables, problems = _tables(text, tree)
    parameters, more = _parameters(text, nodes, tokens)
    return encode(
        tables=tables,
        parameters=parameters,
        meaning=meaning_of(text, tokens, nodes),
        columns=_columns(tree),
        problems=problems + more,
        impure=_impure(tokens, nodes),
    )


# --- tokens and tree ----------------------------------------------------------------------------


def _tokens(text: str, dialect: str) -> list[Token]:
    """The tokens of the one statement, without the semicolons that may end it."""

    if len(text) > MAX_BYTES:
        raise Unreadable("this SQL is longer than a million characters", hint="split it into several nodes")
    try:
        tokens = list(sqlglot.tokenize(text, dialect=dialect))
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
    if slice_of(text, first).upper() not in _FIRST_WORDS:
        raise Unreadable(
            f"a sql node is one query; this begins with `{slice_of(text, first)[:40]}`",
            first.start,
            "begin with SELECT, WITH or FROM; the node's name is the table that it makes",
            "sql-not-a-query",
        )
    depth = 0
    for token in tokens:
        word = slice_of(text, token)
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


def _parse(text: str, tokens: list[Token], dialect: str) -> exp.Expr:
    start = tokens[0].start
    engine = {"duckdb": "DuckDB", "postgres": "PostgreSQL"}.get(dialect, dialect)
    hint = f"if {engine} accepts it all the same, name its inputs in `needs:`, for they cannot be inferred"
    try:
        parser = Dialect.get_or_raise(dialect).parser(error_level=ErrorLevel.IMMEDIATE)
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


# --- what it reads ------------------------------------------------------------------------------


def _tables(text: str, tree: exp.Expr) -> tuple[list[Any], list[Any]]:
    """The tables read, each once, in the order of the text; and what may not be read this way."""

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


def _parameters(text: str, nodes: Nodes, tokens: list[Token]) -> tuple[list[str], list[Any]]:
    """The names of ``$name`` parameters, each once, and what is wrong with them."""

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
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    if not isinstance(tree, exp.Select) or not tree.expressions:
        return None
    for e in tree.expressions:
        plain = isinstance(e, exp.Column) or (isinstance(e, exp.Alias) and not e.find(exp.Columns))
        if not plain or e.is_star or not e.alias_or_name:
            return None
    return [e.alias_or_name for e in tree.expressions]


def _impure(tokens: list[Token], nodes: Nodes) -> list[str]:
    """What answers differently each time (not columns that happen to have such names)."""

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
