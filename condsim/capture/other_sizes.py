"""Whether what was found in a model stands for it at other batch sizes.

A forward is read at the sizes of its tape, and compared with the model's own on what is captured.
Code may do something else for fewer or more rows (`if len(x) < 8: run all experts`): then the trace
is right of the captured batch, and of no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from condsim.errors import CondsimError, summary
from condsim.live.equality import close, tensors_of
from condsim.live.execution import Execution
from condsim.live.failures import ModelFails, module_that_failed
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS

PART = 4
"""So many times fewer units are tried, too."""
MOST_DOUBLED = 64
"""Units of a batch that is tried at double the size."""
ASKED = "the model asks one question of a whole batch"


@dataclass(frozen=True)
class OfOneBatch:
    """Sites of which no other batch size than the captured one is known, and why: notes."""

    sites: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def of_one_batch(live: LiveModel, batch: Batch) -> OfOneBatch:
    """Return the sites at which a model does something else at another number of units.

    That is so where it asks a question of the whole batch, and where it gives another result than
    what was found in it. A size that it does not take says nothing here: probing says that.
    """
    if live.training is not None or batch.units == 1:
        return OfOneBatch()
    asking = [name for site in live.sites if site.decides_for_batch for name in site.sites]
    if asking:
        only = f"only batches of {batch.units} are predicted; batches of one decide for each input"
        return OfOneBatch(frozenset(asking), (f"{', '.join(asking)}: {ASKED}, so {only}",))
    names = [name for site in live.sites for name in site.sites]
    for units in _other_sizes(batch.units) if names else []:
        if not _same_at(live, batch.resized(units)):
            note = (
                f"{', '.join(names)}: at {units} units the model does something else than what was "
                "read from it, so its code follows the number of rows: only batches of "
                f"{batch.units} units are predicted; capture other batch sizes apart"
            )
            return OfOneBatch(frozenset(names), (note,))
    return OfOneBatch()


def unread_at(live: LiveModel, batch: Batch, failure: ModelFails) -> str:
    """Return what to say of a model that fails with forced decisions and runs by itself.

    "" where it fails by itself too, or has no site that was found. failure: with forced decisions.
    """
    if not live.sites or not _runs_by_itself(live, batch):
        return ""
    cause = failure.__cause__
    assert isinstance(cause, Exception)
    where = module_that_failed(live.model, cause)
    names = [name for site in live.sites for name in site.sites if name in live.infos]
    inside = [name for name in names if f"{name}.".startswith(f"{where}.")]
    name = (inside or names)[0]
    way_out = MECHANISMS[live.infos[name].mechanism].how_to_mark
    return (
        f"what was found at site {name!r} does not run with other decisions than its own "
        f"({summary(cause)}), while the model by itself does: the rows that get there follow more "
        "than which of them go where (a limit on their number, a mask among the inputs, a value "
        f"that Python compares); {way_out}"
    )


def _runs_by_itself(live: LiveModel, batch: Batch) -> bool:
    try:
        live.run_bare(batch)
    except CondsimError:
        return False
    return True


def _other_sizes(units: int) -> list[int]:
    tried = {1, max(1, units // PART)}
    if units <= MOST_DOUBLED:
        tried.add(2 * units)
    return sorted(tried - {units})


def _same_at(live: LiveModel, batch: Batch) -> bool:
    """Whether a model gives with its sites what it gives by itself, and a row takes as many
    branches as before; so where it cannot run."""
    run = Execution(observed={})
    try:
        own = live.run_bare(batch)
    except CondsimError:
        return True
    try:
        found = tensors_of(live.run(batch, run))
    except CondsimError:
        return False
    return close(found, own) and not _takes_others(live, run)


def _takes_others(live: LiveModel, run: Execution) -> bool:
    """Whether a row took more or fewer branches than it can by what is known of a site."""
    assert run.observed is not None
    for name, calls in run.observed.items():
        top_k = live.infos[name].top_k
        if top_k and any(call["ids"].shape[-1] != top_k for call in calls):
            return True
    return False
