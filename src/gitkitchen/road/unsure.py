"""When a push or a press had no answer: what is under way is made void, so that looking tells what is true.

No answer is neither yes nor no. What was sent may have arrived, or may arrive when we have long looked; so
first that which it compares is moved on.
"""

from __future__ import annotations

from gitkitchen.answers import Answer
from gitkitchen.errors import Infrastructure
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import Held
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground
from gitkitchen.road.looking import Stretch


def push_is_void(held: Held) -> bool:
    """Whether an atomic push that had no answer has arrived by now, or never will: the lease is renewed,
    which moves the ledger that the push compares."""
    try:
        with effect("renew-lease"):
            held.renew()
    except LeaseLost:
        return True  # whoever has it now has moved the ledger
    except Infrastructure:
        return False
    return True


def press_is_void(ground: Ground, stretch: Stretch) -> bool:
    """Whether a press of the button that had no answer has merged by now, or never will: its candidate is
    taken away. Where another's stands there already, ours cannot be pressed either."""
    try:
        with effect("void-candidate"):
            pushed = ground.move({stretch.branch: ("", stretch.candidate)})
        return pushed.answer is Answer.APPLIED or ground.tip(stretch.branch) != stretch.candidate
    except Infrastructure:
        return False
