"""Uses of two blocks, for the rules of what is kept."""

from __future__ import annotations

from condsim.engine.caching.base import History

OLD, NEW = (0, 1), (0, 2)


def history() -> History:
    """A block that was used twice long ago, and one that was used once just now."""
    found = History()
    for event, block in enumerate((OLD, OLD, NEW)):
        found.now = event
        found.note(block)
    return found
