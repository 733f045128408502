"""The registry of rules: what each torch function does to decisions and to their rows."""

from __future__ import annotations

from collections.abc import Callable

from condsim.live.lift.meanings import Meaning
from condsim.live.lift.reading import Call
from condsim.registry import Registry

Given = Meaning | tuple[Meaning, ...] | None
"""What a call gives: the meaning of its result, or of each item; None for an ordinary call."""

Rule = Callable[[Call], Given]

RULES: Registry[Rule] = Registry("rule")
"""Name of a torch function, without underscores → what a call of it gives."""
