"""All answers of a batch are given when its slowest sample is done."""

from __future__ import annotations

from condsim.serve.exits.base import ExitPolicy, register

WAIT = register(ExitPolicy("wait", answers_early=False))
