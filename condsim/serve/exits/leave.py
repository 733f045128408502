"""A sample leaves with its answer; the rest of its batch goes on as it is."""

from __future__ import annotations

from condsim.serve.exits.base import ExitPolicy, register

LEAVE = register(ExitPolicy("leave", answers_early=True))
