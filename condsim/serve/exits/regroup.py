"""A sample leaves with its answer; the rest of its batch waits to be joined with the rest of other
batches where that saves more than it costs.

What is held runs as soon as it fills a batch, when it has waited long enough, or when nothing else
is to be done.
"""

from __future__ import annotations

from condsim.serve.exits.base import ExitPolicy, Rest, register


def saves_more(rest: Rest) -> bool:
    """Whether the seconds saved by a full batch exceed those of regrouping."""
    return rest.alone_s - rest.together_s > rest.overhead_s


REGROUP = register(ExitPolicy("regroup", answers_early=True, holds=saves_more))
