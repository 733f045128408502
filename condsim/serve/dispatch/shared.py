"""One queue for all replicas: whichever is free takes the oldest request."""

from __future__ import annotations

from condsim.serve.dispatch.base import DISPATCHES, Dispatch

DISPATCHES.register("shared")(Dispatch("shared", None))
