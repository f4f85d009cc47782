"""The pages of a site. Pure: each takes what is known and returns what its template is given."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.page.rendering import Page
from gitkitchen.page.shapes import Site
from gitkitchen.page.views import catalogue, datasets, history, incidents, overview, road, runs
from gitkitchen.page.views.parts import Studio


def pages(site: Site | Studio) -> Iterator[Page]:
    """Every page of the site, the overview first; runs, which are many, last."""
    studio = site if isinstance(site, Studio) else Studio.of(site)
    yield overview.overview(studio)
    yield from catalogue.pages(studio)
    yield from datasets.pages(studio)
    yield from history.pages(studio)
    yield from road.pages(studio)
    yield from incidents.pages(studio)
    yield from runs.pages(studio)
