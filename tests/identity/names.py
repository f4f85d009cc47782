"""A thousand hostile names of branches, always the same ones."""

from __future__ import annotations

import random
import re
import unicodedata

WORDS = (
    *("main", "master", "prod", "feature", "Feature", "FEATURE", "x", "X", "release", "patch-1", "HEAD"),
    *("head", "é", "e\u0301", "Å", "\u212b", "ﬁ", "fi", "ß", "ss", "İ", "i\u0307", "日本", "🍳"),
    *("\u202e", "\u200b", "\u00a0", "'", '"', "`", "''", '"";', "'or'1'='1", "\\", "#", "!", "=", "+"),
    *("x';drop\u00a0view\u00a0x;--", '"";drop\u00a0schema\u00a0main', "x/**/y", "%s", "%n", "{0}"),
    *("$(touch${IFS}pwned)", "`touch${IFS}pwned`", ";touch${IFS}pwned;", "|touch${IFS}pwned"),
    *("&&touch${IFS}pwned", ">pwned", "<pwned", "${HOME}", "${{secrets.X}}", "{{config}}", "-c", "--"),
    *("--upload-pack=touch", "--exec=touch", "-", "_", "__", ".", "..", "k_main_0", "trusted", "sandbox"),
    *("con", "nul", "::set-output", "</script>", "<b>", "a" * 60, "b" * 200, "@", "@{0}", "@-"),
    "refs/heads/main",
    "$(touch${IFS}pwned)`touch${IFS}pwned`;x'\";drop\u00a0view\u00a0x;--\u202e",
)
JOINTS = ("", "/", "-", "_", ".", "//", "/-", "-/")
REFUSED = re.compile(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|/$|\.$|/\.|^\.|\.lock(/|$)|^@$|^HEAD$")


def hostile(count: int = 1000) -> list[str]:
    """So many different names; some of them Git would never take."""
    chance = random.Random(2013)
    names: dict[str, None] = dict.fromkeys(WORDS)
    names |= dict.fromkeys(unicodedata.normalize(f, w) for w in WORDS for f in ("NFC", "NFD", "NFKC"))
    while len(names) < count:
        parts = [chance.choice(WORDS) for _ in range(chance.randint(2, 4))]
        names[chance.choice(JOINTS).join(parts)] = None
    return list(names)[:count]


def acceptable(names: list[str]) -> list[str]:
    """Those that Git takes as branches, no one a folder of another (refs/heads/a and refs/heads/a/b)."""
    good: dict[str, None] = {}
    folders: set[str] = set()
    for name in names:
        parts = name.split("/")
        above = {"/".join(parts[:n]) for n in range(1, len(parts))}
        if REFUSED.search(name) or name in folders or above & good.keys() or any(len(p) > 200 for p in parts):
            continue
        good[name] = None
        folders |= above
    return list(good)
