"""Keep the blocks that these very events use most often, from the beginning and for ever."""

from __future__ import annotations

from condsim.engine.caching.base import CachePolicy, register

PINNED = register(CachePolicy("pinned", sees_future=True))
