"""As chunked, but a step is planned while the one before it runs: the host hides behind the device.

Who arrives during a step is not in the next one, but in the one after it, and what a sequence gives
back that ends is free a step later. A step that would be empty takes what is there.
Source: vllm-project/vllm pull request 19970 ("Implement Async Scheduling"); it is vLLM's default
since version 0.14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.serve.schedulers.base import Scheduler, Waiting, register

if TYPE_CHECKING:
    from condsim.serve.text import TextReplica


def plan(replica: TextReplica, _waiting: Waiting) -> None:
    """Put chunks into the step, of what was there when the step before it began."""
    replica.look_back()
    replica.make_room()
    replica.continue_prompts()
    replica.admit(replica.budget_left, in_chunks=True)


AHEAD = register(Scheduler("ahead", plan=plan))
