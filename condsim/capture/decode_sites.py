"""Sites of a decoder that decides about its new tokens only: one decode step shows them."""

from __future__ import annotations

from dataclasses import replace

from condsim.capture.sizes import Sizes, take_every_branch
from condsim.live.decode import decode_step
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.trace.header import ONE_A_POSITION


def with_decode_sites(live: LiveModel, batch: Batch, sizes: Sizes) -> Sizes:
    """What was learnt of a model's inputs, with the sites of a decode step after a batch.

    The step sends its rows into every branch, so that sites show themselves that they do not reach.
    """
    step = decode_step(live, batch)
    live.run(step.batch, Execution(decide=take_every_branch, observed={}), **step.cache)
    unit_rows = dict(sizes.unit_rows)
    unit_rows |= dict.fromkeys(live.infos, ONE_A_POSITION)
    return replace(sizes, unit_rows=unit_rows)
