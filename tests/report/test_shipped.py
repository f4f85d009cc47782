"""Files that ship beside the code."""

from __future__ import annotations

import pytest

from gitkitchen.errors import Infrastructure
from gitkitchen.shipped import find


def test_templates_are_found() -> None:
    """The page's template and style are where the installation keeps them."""
    assert find("templates/report.html.j2").is_file()
    assert find("templates/report.css").is_file()
    assert find("workflows").is_dir()


def test_a_broken_installation_says_so() -> None:
    """What is missing is named, with what to do."""
    with pytest.raises(Infrastructure) as caught:
        find("templates/none.j2")
    assert (
        str(caught.value)
        == "this installation of GitKitchen lacks 'templates/none.j2'; install the package again"
    )
