"""(a) What the engine itself costs: 1,000 nodes that do almost nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import generators as make
from benchmarks.context import (
    HEAD,
    Context,
    Promise,
    Section,
    Table,
    cells,
    command,
    expect_states,
    forget,
    paragraphs,
    put_away,
    raw,
    seconds,
    table,
)
from benchmarks.harness import Contestant, Failed, Series, Stage, compete, measure
from benchmarks.stats import median, paired_excess, paired_ratio

BARE = Path(__file__).parent / "bare"
NOOPS = Path(__file__).parent / "noops"
AUDITED = "bare DuckDB with evidence"
SHAPES: dict[str, Callable[[int], list[make.Model]]] = {
    "chain": make.chain,
    "fan": make.fan,
    "layers": lambda count: make.layers(count, max(2, count // 10)),
}
NOTES = paragraphs("""\
GitKitchen: the whole command `gitkitchen run delays`: start of Python, git, checking of the files,
plan, one Parquet file a node with its content digest and manifest, the durable record of each node,
two tests on the last node, fsync, publication, outcome document and reports.

`first`: nothing is known, every file is parsed. `again`: `--force` on the same files: every node
executes and is written again, parsed files come from the cache; the published content is equal.

Bare DuckDB: one Python process, in-memory database, for each statement COPY to Parquet (with the
compression that GitKitchen's own files have) and CREATE VIEW for the reader, in order; at the end
the two tests' figures in one SELECT. `with evidence`: the same, and the other statements that GitKitchen
gives the engine for each node: the parse that refuses all but one SELECT, COPY's statistics, and the
digest of the rows read back. What a node costs over these is the engine of GitKitchen itself; what it
costs over the plain ones is the price of the evidence too.

A node more: (GitKitchen - bare) / nodes, so that the fixed cost of the command is spread over the
nodes.

`run:` nodes: each is `bash` with `true` in a private folder with the node contract's environment;
beside them one SQL node with one test, which a recipe cannot do without. Bare spawning: the same
`bash -eo pipefail -c true` from a thread pool, as many at once as GitKitchen's default `--jobs`.

doit, luigi and Dagster call an empty Python function in process, so they start no process, write no
data and test nothing; doit is shown with shell commands too (`true` by `/bin/sh`, as many
threads as cores). luigi has one worker, Dagster an ephemeral instance with its logging off. They are no
like for like: GitKitchen has no node that does nothing in process.
""")


def run(context: Context) -> Section:
    """Measure section (a)."""
    count = context.size(1000, 100)
    compression = find_compression(context)
    skipped: dict[str, str] = {}
    samples: dict[str, object] = {}
    promises: list[Promise] = []
    rows: list[tuple[str, ...]] = []
    for shape, models in SHAPES.items():
        series = _shape(context, shape, models(count), compression)
        samples[shape] = raw(series)
        skipped |= {f"{who} ({shape})": why for who, why in series.skipped.items()}
        rows += _shape_rows(shape, series, count)
        promises += [
            Promise(f"{shape} of {count} SQL nodes, {stage} run, a node over the same statements", 1.0, "ms",
                    excess(series, stage, count, AUDITED))
            for stage in ("first", "again")
        ]  # fmt: skip
    tables = [
        Table(
            f"{count} one-row SQL nodes",
            ("", *HEAD, "of bare", "ms a node more", "over evidence"),
            tuple(rows),
        )
    ]
    noops, noop_promise = _noops(context, count)
    skipped |= noops.skipped | context.missing("doit", "luigi", "dagster")
    samples["noops"] = raw(noops)
    tables.append(_noop_table(noops, count))
    return Section("a", "Engine overhead", tuple(tables), NOTES, (*promises, noop_promise), skipped, samples)


def find_compression(context: Context) -> str:
    """The compression of GitKitchen's own files, from one real run; also warms the byte-code caches."""
    root = context.work / "compression"
    models = make.chain(1)
    make.write_recipe(root, make.sql_nodes(models, files=False))
    make.commit(root, "one node")
    log = context.logs / "compression.log"
    try:
        measure([context.gitkitchen, "run", make.RECIPE, "--quiet"], cwd=root, log=log)
    except Failed as error:
        context.say(f"  gitkitchen cannot run one node: {error}")
        return "snappy"
    store = str(root / ".gitkitchen" / "store")
    found = subprocess.run(
        [context.python, str(BARE / "compression.py"), store], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "snappy"


def kitchen(context: Context, root: Path, nodes: int, *, again: bool) -> Contestant:
    """GitKitchen on the project at ``root``: a first run, and one with ``--force`` if ``again``."""
    argv = (context.gitkitchen, "run", make.RECIPE, "--quiet")
    check = expect_states(root, passed=nodes)
    stages = [Stage("first", argv, before=lambda: forget(root), after=check)]
    if again:
        stages.append(Stage("again", (*argv, "--force"), after=check))
    return Contestant("GitKitchen", root, tuple(stages))


def bare(
    context: Context, models: Sequence[make.Model], root: Path, compression: str, *, audited: bool = False
) -> Contestant:
    """The same statements in bare DuckDB, as stage ``first``; ``audited``: with those of the evidence."""
    root.mkdir(parents=True)
    (root / "statements.json").write_text(make.statements(models), "utf-8")
    argv = (context.python, str(BARE / "statements.py"), "statements.json", "out", compression)
    argv += ("audited",) if audited else ()
    return Contestant(
        AUDITED if audited else "bare DuckDB",
        root,
        (Stage("first", argv, before=lambda: put_away(root / "out")),),
    )


def _shape(context: Context, shape: str, models: list[make.Model], compression: str) -> Series:
    context.say(f"  {shape} of {len(models)} one-row SQL nodes")
    root = context.work / "engine" / shape
    make.write_recipe(root / "kitchen", make.sql_nodes(models, files=False))
    make.commit(root / "kitchen", "the recipe")
    contestants = [
        kitchen(context, root / "kitchen", len(models), again=True),
        bare(context, models, root / "bare", compression),
        bare(context, models, root / "audited", compression, audited=True),
    ]
    return compete(contestants, context.rounds, context.logs, context.say)


def excess(series: Series, stage: str, count: int, base: str = "bare DuckDB") -> float | None:
    """Milliseconds that a node of GitKitchen costs more than its statement in ``base``."""
    ours, theirs = series.walls("GitKitchen", stage), series.walls(base, "first")
    return paired_excess(ours, theirs, count) * 1000 if ours and theirs else None


def _shape_rows(shape: str, series: Series, count: int) -> list[tuple[str, ...]]:
    theirs = series.walls("bare DuckDB", "first")
    rows = []
    everyone = (
        ("GitKitchen", "first"),
        ("GitKitchen", "again"),
        ("bare DuckDB", "first"),
        (AUDITED, "first"),
    )
    for who, stage in everyone:
        ours = series.walls(who, stage)
        bases = ("bare DuckDB", AUDITED) if who == "GitKitchen" else ()
        more = [excess(series, stage, count, base) for base in bases] or [None, None]
        label = f"{shape}: {who}" + (f", {stage}" if who == "GitKitchen" else "")
        ratio = f"{paired_ratio(ours, theirs):.2f}" if ours and theirs else "–"
        told = ("–" if m is None else f"{m:.2f}" for m in more)
        rows.append((label, *cells(series, who, stage), ratio, *told))
    return rows


def _noops(context: Context, count: int) -> tuple[Series, Promise]:
    context.say(f"  {count} no-ops")
    root = context.work / "engine" / "noops"
    make.write_recipe(root / "kitchen", make.noop_nodes(count))
    make.commit(root / "kitchen", "the recipe")
    contestants = [
        kitchen(context, root / "kitchen", count + 1, again=False),
        _spawning(context, root / "bare", count),
    ]
    contestants += _peers(context, root, count)
    series = compete(contestants, context.rounds, context.logs, context.say)
    ours, theirs = series.walls("GitKitchen", "first"), series.walls("bare spawning", "first")
    measured = paired_ratio(ours, theirs) if ours and theirs else None
    return series, Promise(f"{count} `run:` nodes, of bare spawning", 1.5, "times", measured)


def _spawning(context: Context, root: Path, count: int) -> Contestant:
    root.mkdir(parents=True)
    argv = (context.python, str(BARE / "spawn.py"), str(count), str(context.cores))
    return Contestant("bare spawning", root, (command("first", *argv),))


def _peers(context: Context, root: Path, count: int) -> list[Contestant]:
    """doit, luigi and Dagster on as many no-ops; Dagster, the slowest, takes part in two rounds at most."""
    wanted = (
        ("doit", "doit, Python calls", ("doit_calls.py", str(count)), None),
        ("doit", "doit, shell commands", ("doit_commands.py", str(count), str(context.cores)), None),
        ("luigi", "luigi, Python calls", ("luigi_calls.py", str(count)), None),
        ("dagster", "Dagster, Python calls", ("dagster_calls.py", str(count)), 2),
    )
    found = []
    for name, label, script, rounds in wanted:
        peer = context.peer(name)
        if peer is None:
            continue
        folder = root / script[0].removesuffix(".py")
        folder.mkdir()
        argv = (peer.executable("python"), str(NOOPS / script[0]), *script[1:])
        stage = Stage("first", argv, before=_emptying(folder))
        found.append(Contestant(label, folder, (stage,), env={"DAGSTER_HOME": str(folder)}, rounds=rounds))
    return found


def _emptying(folder: Path) -> Callable[[], None]:
    def empty() -> None:  # doit keeps its state in a file: each round starts without
        for file in folder.iterdir():
            if file.is_file():
                file.unlink()

    return empty


def _noop_table(series: Series, count: int) -> Table:
    labels = {
        "GitKitchen": 'GitKitchen, `run: "true"`',
        "bare spawning": "bare spawning",
        "doit, shell commands": "doit, shell commands",
        "doit, Python calls": "doit, Python calls in process",
        "luigi, Python calls": "luigi, Python calls in process",
        "Dagster, Python calls": "Dagster, Python calls in process",
    }
    base = table(f"{count} no-ops", "", series, [(label, who, "first") for who, label in labels.items()])
    bare_walls = series.walls("bare spawning", "first")
    rows = []
    for row in base.rows:
        who = next(w for w, label in labels.items() if label == row[0])
        walls = series.walls(who, "first")
        ratio = f"{paired_ratio(walls, bare_walls):.2f}" if bare_walls else "–"
        rows.append((*row, ratio, seconds(median(walls) / count * 1000)))
    return Table(base.title, (*base.head, "of bare spawning", "ms each"), tuple(rows))
