"""The project of any Git tree, read without a checkout and without running anything of it.

The files are laid out in a folder that lives as long as the reading: texts that a project is made of with
their content, everything else as an empty file of its name, for a recipe may only be asked whether it is
there. Links that lead out of the tree are left out, and so is ``.gitkitchen/``, whose cache a hostile branch
could have filled.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from gitkitchen.errors import GitKitchenError, Infrastructure, Mistake, Problem, in_order
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.config import examine as examine_project
from gitkitchen.kitchen.settings import Layer, texts
from gitkitchen.kitchen.settings import resolve as resolve_settings
from gitkitchen.kitchen.settings import values as setting_values
from gitkitchen.model import Environment, Kitchen, Project, Recipe
from gitkitchen.plumbing import Listed, Plumbing
from gitkitchen.recipe.load import load_recipes
from gitkitchen.recipe.raw import RawRecipe
from gitkitchen.recipe.resolve import examine
from gitkitchen.recipe.waivers import Waiver, read_waivers

LINK = "120000"
READ = (".yml", ".yaml", ".sql", ".py", "CODEOWNERS")
"""Files whose content is read; of all others only the name, the size and the object are known."""
MAX_FILE = 2_000_000
MAX_LINK = 4096
MAX_FILES = 100_000
MAX_BYTES = 256_000_000
MAX_RESOLVED = 2_000
JUDGES = (".github/", "waivers/", "kitchen.yml", "CODEOWNERS", "docs/CODEOWNERS")
"""What decides about others: kept as text beside the recipes."""


class Where(NamedTuple):
    """A recipe as it is in one kitchen: an environment's name, or "" for a sandbox."""

    recipe: str
    environment: str = ""
    variation: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tree says. ``project`` is None where its ``kitchen.yml`` cannot be read.

    ``resolved`` has each recipe in each environment and in a sandbox, without and with each variation that
    may run there; recipes that are the same object are equal. ``files`` has every file of the whole
    repository by path; ``texts`` the content of those that judge (``JUDGES``) and of local actions. The
    folder of the project is ``folder``, relative to the repository; ``project.root`` exists no more.
    """

    tree: str
    project: Project | None
    recipes: Mapping[str, RawRecipe] = field(default_factory=dict)
    resolved: Mapping[Where, Recipe] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    problems: tuple[Problem, ...] = ()
    files: Mapping[str, Listed] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    complete: bool = True
    """False where the recipes have more kitchens and variations than are looked at."""


def read_tree(folder: Path, rev: str, *, project: str = "", sandbox: Kitchen | None = None) -> Reading:
    """The project of a commit or tree of the repository around ``folder``.

    ``project``: the folder of its ``kitchen.yml`` in the repository. ``sandbox``: the kitchen that
    expressions see in a sandbox, where it is known. Mistakes of the files stand in the reading; Mistake is
    raised where there is no such revision, Infrastructure where the repository lacks objects or the tree is
    too large.
    """
    plumbing = Plumbing(folder)
    tree = plumbing.ref(f"{rev}^{{tree}}") if rev else None
    if tree is None:
        raise Mistake(
            Problem(f"there is no revision '{rev[:80]}' here", hint="fetch it first", code="no-rev")
        )
    return _read_once(folder, tree, project, sandbox)


def read_known(folder: Path, tree: str, *, project: str = "") -> Reading:
    """The same of a tree by its object's name, which Git is not asked for."""
    return _read_once(folder, tree, project, None)


@lru_cache(maxsize=2)  # a promotion reads the tree of its target and that of its source, and each again
def _read_once(folder: Path, tree: str, project: str, sandbox: Kitchen | None) -> Reading:
    plumbing = Plumbing(folder)
    files = plumbing.listing(tree)
    if files is None:  # a partial clone does not even know how large its files are
        raise _lacking()
    if len(files) > MAX_FILES:
        message = f"tree {tree[:12]} has {len(files):,} files, and {MAX_FILES:,} are read at most"
        raise Infrastructure(Problem(message, hint="keep data out of the repository", code="too-large"))
    with tempfile.TemporaryDirectory(prefix="gitkitchen-tree-") as made:
        root = Path(os.path.realpath(made))
        _lay_out(root, files, plumbing, project)
        found = _read(root / project if project else root, sandbox)
        texts_there = {
            path: (root / path).read_text(encoding="utf-8", errors="replace")
            for path in files
            if _judges(path, project) and _is_text(files[path], path)
        }
    return replace(found, tree=tree, files=files, texts=texts_there, folder=project)


def _judges(path: str, project: str) -> bool:
    inner = path.removeprefix(f"{project}/") if project else path
    action = path.rpartition("/")[2] in ("action.yml", "action.yaml")
    return action or path.startswith(JUDGES) or inner.startswith(JUDGES)


def _is_text(file: Listed, path: str) -> bool:
    return file.mode != LINK and file.size <= MAX_FILE and path.endswith(READ)


# --- the folder --------------------------------------------------------------------------------------


def _lay_out(root: Path, files: Mapping[str, Listed], plumbing: Plumbing, project: str) -> None:
    """Write the files of a tree below ``root``, its links last, and of these only such as stay inside."""
    state = (f"{project}/" if project else "") + ".gitkitchen"
    kept = {
        path: file
        for path, file in files.items()
        if _is_path(path) and not f"{path}/".lower().startswith(f"{state}/".lower())
    }
    links = {p: f for p, f in kept.items() if f.mode == LINK and f.size <= MAX_LINK}
    texts_there = {p: f for p, f in kept.items() if _is_text(f, p)}
    if sum(f.size for f in texts_there.values()) > MAX_BYTES:
        message = f"the texts of this tree have more than {MAX_BYTES // 1_000_000} MB"
        raise Infrastructure(Problem(message, hint="keep data out of the repository", code="too-large"))
    read = [*texts_there.values(), *links.values()]
    known = plumbing.contents(f.oid for f in read) if read else {}
    if any(f.oid not in known for f in read):
        raise _lacking()
    folders: set[str] = set()
    for path, file in kept.items():
        if file.mode != LINK:
            _write(str(root), path, known[file.oid] if path in texts_there else b"", folders)
    _link(root, {path: known[file.oid] for path, file in links.items()})


def _lacking() -> Infrastructure:
    hint = "fetch it whole: `git fetch --refetch --no-filter`"
    return Infrastructure(Problem("the repository lacks files of this tree", hint=hint, code="no-object"))


def _is_path(path: str) -> bool:
    """Whether Git itself would have made it: a tree that was written by hand can hold anything."""
    return all(p not in ("", ".", "..") and p.lower() != ".git" for p in path.split("/")) and "\0" not in path


def _write(root: str, path: str, content: bytes, made: set[str]) -> None:
    """``made``: the folders that are known to be there, for a tree has thousands of files in few of them."""
    whole = f"{root}/{path}"
    folder = whole.rpartition("/")[0]
    try:
        if folder not in made:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - quick
            made.add(folder)
        # Exclusively: nothing is written through what is there already, whatever the tree says of it.
        handle = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(content)
    except (FileExistsError, NotADirectoryError, ValueError):
        return
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # then no recipe can name it here either
            raise


def _link(root: Path, links: Mapping[str, bytes]) -> None:
    made: list[Path] = []
    for path, target in links.items():
        if not target.startswith(b"/") and b"\0" not in target:
            try:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                os.symlink(target, os.fsencode(root / path))  # noqa: PTH211 - a target of bytes
            except OSError:
                continue
            made.append(root / path)
    # What a link is may depend on other links, so that their words alone tell nothing: they are followed.
    for link in made:
        real = os.path.realpath(link)
        if real != str(root) and not real.startswith(f"{root}{os.sep}"):
            link.unlink(missing_ok=True)


# --- what it says ------------------------------------------------------------------------------------


def _read(root: Path, sandbox: Kitchen | None) -> Reading:
    try:
        project, problems = examine_project(root)
    except GitKitchenError as error:
        return Reading("", None, problems=error.problems)
    if project is None:
        return Reading("", None, problems=in_order(problems))
    recipes = load_recipes(project)
    waivers, wrong = read_waivers(project)
    problems = [*problems, *recipes.problems, *wrong]
    resolved: dict[Where, Recipe] = {}
    whole = True
    for raw in recipes.recipes.values():
        for where, recipe, more in _resolved(project, raw, sandbox):
            if len(resolved) >= MAX_RESOLVED:
                whole = False
                break
            resolved[where] = recipe
            problems += more
    return Reading(
        tree="",
        project=project,
        recipes=recipes.recipes,
        resolved=resolved,
        waivers=tuple(waivers),
        problems=in_order(problems),
        complete=whole,
    )


def _resolved(
    project: Project, raw: RawRecipe, sandbox: Kitchen | None
) -> Iterator[tuple[Where, Recipe, list[Problem]]]:
    """A recipe in each kitchen; read again only where variables or the kitchen can make a difference."""
    marked = [text for _, text in texts(raw.value) if "${{" in text]
    of_kitchen = any("kitchen" in text for text in marked)
    known: dict[tuple[str, str], tuple[Recipe, list[Problem]]] = {}
    for environment, kitchen in _kitchens(project, sandbox):
        over = environment.vars if environment is not None else {}
        for name in (None, *raw.variations):
            variation = raw.variations[name] if name is not None else None
            here = environment.name if environment is not None else ""
            allowed = variation.environments if variation is not None else ()
            if allowed and here and here not in allowed:
                continue
            last = variation.vars if variation is not None else {}
            layers: list[Layer] = [("", given, {}) for given in (raw.vars, project.vars, over, last)]
            values = setting_values(resolve_settings(layers))
            key = (repr(values) if marked else "", kitchen.label if of_kitchen else "")
            if key not in known:
                known[key] = examine(raw, values, variation=name, kitchen=kitchen)
                problems = known[key][1]
            else:
                problems = []
            shown = "" if kitchen.environment is None else here
            yield Where(raw.name, shown, name), replace(known[key][0], variation=name, vars=values), problems


def _kitchens(project: Project, sandbox: Kitchen | None) -> Iterable[tuple[Environment | None, Kitchen]]:
    for environment in project.environments:
        name = f"k_{environment.name}_000000000000"
        yield environment, Kitchen(project.id, "", environment.branch, name, environment=environment.name)
    base = sandbox.base if sandbox is not None else project.sandbox_base
    supposed = Kitchen(project.id, "", "sandbox", "k_sandbox_000000000000", base=base)
    yield project.environment(base or ""), sandbox or supposed
