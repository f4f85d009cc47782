"""What the pages are put together from: cells, blocks, and what all pages share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from gitkitchen.frozen import dataclass
from gitkitchen.page.cells import Cell as Cell
from gitkitchen.page.cells import Row as Row
from gitkitchen.page.drawing import HEIGHT, WIDTH, line
from gitkitchen.page.drawn import Drawn
from gitkitchen.page.health import Standing, of_run, standings, troubles
from gitkitchen.page.measures import Delivery, delivery
from gitkitchen.page.rendering import Frame, Page, slug
from gitkitchen.page.shapes import Place, Publication, RecipeFact, Run, Site, Tone
from gitkitchen.report.text import clip, number

V = TypeVar("V")
MENU = (
    ("index.html", "Overview"),
    ("recipes.html", "Recipes"),
    ("datasets.html", "Datasets"),
    ("tests.html", "Tests"),
    ("promotions.html", "Promotions"),
    ("incidents.html", "Incidents"),
    ("delivery.html", "Delivery"),
    ("kitchens.html", "Kitchens"),
    ("waivers.html", "Waivers"),
)
LETTERS: Mapping[str, str] = {
    "passed": "P",
    "failed": "F",
    "could_not_check": "?",
    "nothing_tested": "0",
    "cancelled": "C",
}
DOTS = 14


@dataclass(frozen=True, slots=True)
class Block:
    """A section of a page: a heading, and any of what can stand below one."""

    title: str
    small: str = ""
    anchor: str = ""
    text: str = ""
    head: Sequence[Cell] = ()
    rows: Sequence[Row] = ()
    figures: Sequence[tuple[str, str, str]] = ()
    weeks: Sequence[float] = ()
    weeks_said: str = ""
    graph: Mapping[str, Any] | None = None
    articles: Sequence[Mapping[str, Any]] = ()
    html: str = ""
    """What was drawn by a template of its own: Markup."""
    note: str = ""
    items: Sequence[Cell] = ()
    more: str = ""


def heads(*words: str) -> tuple[Cell, ...]:
    """The names of columns; ``n:`` before one sets it flush right, ``o:`` leaves it out on a phone."""
    kinds = {"n": "n", "o": "optional", "no": "n optional"}
    found = []
    for word in words:
        kind, colon, text = word.partition(":")
        found.append(Cell(text, cls=kinds[kind]) if colon and kind in kinds else Cell(word))
    return tuple(found)


def article(title: str, tone: str, **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "tone": tone,
        "href": "",
        "word": "",
        "small": "",
        "text": "",
        "fields": (),
        "command": "",
        "anchor": "",
    } | more


@dataclass(frozen=True)
class Studio:
    """A site with all that several pages need of it, worked out once."""

    site: Site
    standings: Mapping[tuple[str, str, str], Standing]
    troubles: tuple[Any, ...]
    deliveries: Mapping[str, Delivery]
    facts: Mapping[str, RecipeFact]
    spaces: Mapping[str, str]
    shared: Mapping[str, Any]
    makers: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    """Dataset -> recipe and node."""
    incident_pages: Mapping[tuple[str, str], str] = field(default_factory=dict)
    drawn: Drawn = field(default_factory=Drawn)
    _said: dict[tuple[object, ...], Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, site: Site, drawn: Drawn | None = None) -> Studio:
        found = troubles(site)
        made = [d for r in site.recipes for n in r.nodes for d in n.datasets]
        makers = {d: (r.name, n) for r in site.recipes for n in r.nodes for d in n.datasets} if made else {}
        about = f"GitKitchen {site.version}" + (
            f" · recipes as of commit {site.commit[:12]}" if site.commit else ""
        )
        shared = {
            "title": site.title,
            "menu": MENU,
            "made": site.made.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "stale": site.stale.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "made_said": when(site.made),
            "stale_said": when(site.stale),
            "lacks": site.lacks,
            "about": about,
        }
        return cls(
            site,
            standings(site),
            found,
            {p.name: delivery(site, p) for p in site.places},
            {r.name: r for r in site.recipes},
            {p.namespace: p.name for p in site.places},
            shared,
            makers,
            {(t.environment, t.id): f"incident/{slug(t.environment, t.id)}.html" for t in found},
            drawn or Drawn(),
        )

    @cached_property
    def versions(self) -> Mapping[str, Versions]:
        """Of each dataset that was ever published, how often, and its last publications."""
        counts: Counter[str] = Counter()
        for place in self.site.places:
            for names, times in Counter(q.names for q in place.publications).items():
                counts.update(dict.fromkeys(names, times))
        last = {dataset: list[tuple[Place, Publication]]() for dataset in counts}
        for place in self.site.places:
            for dataset, found in _newest(place.publications):
                last[dataset] += [(place, q) for q in found]
        return {
            dataset: Versions(counts[dataset], sorted(found, key=lambda f: f[1].at, reverse=True)[:VERSIONS])
            for dataset, found in last.items()
        }

    def once(self, key: tuple[object, ...], make: Callable[[], V]) -> V:
        """What ``make`` gives, for a key once: what many pages say alike."""
        if key not in self._said:
            self._said[key] = make()
        found: V = self._said[key]
        return found

    @cached_property
    def run_ids(self) -> frozenset[str]:
        """The ids of all runs: each has its page."""
        return frozenset(r.id for r in self.site.runs)

    @cached_property
    def late_runs(self) -> frozenset[str]:
        """The ids of the runs of late."""
        return frozenset(r.id for r in self.site.runs[-2_000:])

    @cached_property
    def frame(self) -> Frame:
        """What stands around every page."""
        return Frame(self.shared)

    def page(self, path: str, template: str, menu: str, **values: Any) -> Page:
        """A page of the present with what every page has."""
        given = self.given(menu, **values)
        return Page(path, template, lambda: given)

    def later(self, path: str, template: str, menu: str, make: Callable[[], Mapping[str, Any]]) -> Page:
        """A page of the present, of which there are many: ``make`` gives its values where it is written."""
        return Page(path, template, lambda: self.given(menu, **make()))

    def given(self, menu: str, *, lasting: bool = False, **values: Any) -> dict[str, Any]:
        """What the templates of all pages are given."""
        plain = {"over": "", "lead": "", "tone": "", "next": "", "facts": (), "blocks": (), "title": ""}
        given = {
            **plain,
            "site": self.shared,
            "frame": self.frame,
            "menu": menu,
            "lasting": lasting,
            **values,
        }
        given["title"] = given["title"] or given["headline"]
        return given

    def incident(self, environment: str, name: str) -> str:
        return self.incident_pages[environment, name]

    def place(self, name: str) -> Place | None:
        return next((p for p in self.site.places if p.name == name), None)


VERSIONS = 40
"""Publications of a dataset that are listed."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The publications of a dataset: ``count`` in all, ``last`` the newest first."""

    count: int
    last: Sequence[tuple[Place, Publication]]


def _newest(publications: Sequence[Publication]) -> Iterator[tuple[str, list[Publication]]]:
    """Of each dataset of one environment its last publications. Of those that name the same datasets no more
    than the last can be among them."""
    alike: dict[tuple[str, ...], list[Publication]] = {}
    for q in publications:
        alike.setdefault(q.names, []).append(q)
    late = [q for same in alike.values() for q in same[-VERSIONS:]]
    found: dict[str, list[Publication]] = {d: [] for names in alike for d in names}
    for q in sorted(late, key=lambda q: q.sequence, reverse=True):
        for dataset in q.names:
            if len(found[dataset]) < VERSIONS:
                found[dataset].append(q)
    yield from found.items()


def when(at: datetime) -> str:
    """``2026-11-21 07:01 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def ago(at: datetime, now: datetime) -> str:
    """``3 h ago``, as it was when the page was made: it does not go on counting."""
    minutes = (now - at).total_seconds() / 60
    if minutes < 0:
        return when(at)
    if minutes < 1:
        return "just now"
    for size, word in ((1440.0, "d"), (60.0, "h"), (1.0, "min")):
        if minutes >= 1.5 * size or size == 1:
            return f"{int(minutes / size)} {word} ago"
    return ""


def run_href(run: Run | str) -> str:
    return f"run/{slug(run if isinstance(run, str) else run.id)}.html"


def recipe_href(recipe: str) -> str:
    return f"recipe/{slug(recipe)}.html"


def dataset_href(dataset: str) -> str:
    return f"dataset/{slug(dataset)}.html"


def grid_href(s: Standing) -> str:
    return f"grid/{slug(s.environment, s.recipe, s.variation)}.html"


def metrics_href(s: Standing) -> str:
    return f"metrics/{slug(s.environment, s.recipe, s.variation)}.html"


def dot(run: Run) -> dict[str, str]:
    health = of_run(run)
    letter = "W" if health.tone == "warn" else LETTERS.get(run.verdict, "?")
    label = f"{health.word} {when(run.started)}"
    return {"tone": health.tone, "letter": letter, "href": run_href(run), "label": label}


def dots(runs: Sequence[Run], most: int = DOTS) -> list[dict[str, str]]:
    return [dot(r) for r in runs[-most:]]


def chart(
    title: str,
    points: Sequence[tuple[datetime, float]],
    marks: Sequence[tuple[datetime, str, str]],
) -> dict[str, Any] | None:
    drawn = line(points, marks)
    if drawn is None:
        return None
    last = number(points[-1][1])
    said = f"least {number(drawn.least)}, most {number(drawn.most)}, {len(points):,} runs"
    landed = sum(kind == "landed" for _, kind, _ in drawn.marks)
    incidents = len(drawn.marks) - landed
    label = f"{title}: {last} at last, {said}; {landed} promotions, {incidents} incidents in this time"
    return {
        "title": title,
        "anchor": slug(title),
        "last": last,
        "said": said,
        "label": label,
        "marks": drawn.marks,
        "parts": drawn.parts,
        "width": WIDTH,
        "height": HEIGHT,
        "first": when(drawn.first),
        "end": when(drawn.end),
    }


def boxes(graph: Any, about: Mapping[str, tuple[Tone, str, str, str]], here: str = "") -> dict[str, Any]:
    """A graph for its template. ``about``: name -> tone, mark, what is said below it, link."""
    from gitkitchen.page.drawing import BOX_H, BOX_W

    made = []
    for b in graph.boxes:
        tone, mark, said, href = about.get(b.name, ("unknown", "?", "", ""))
        made.append(
            {
                "x": round(b.x, 1),
                "y": round(b.y, 1),
                "w": BOX_W,
                "h": BOX_H,
                "short": clip(b.name, 24),
                "tone": tone,
                "mark": mark,
                "said": clip(said, 26),
                "href": href,
                "here": b.name == here,
            }
        )
    return {
        "boxes": made,
        "curves": graph.curves,
        "width": round(graph.width),
        "height": round(graph.height),
        "more": "",
    }
