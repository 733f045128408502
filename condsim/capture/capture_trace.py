"""A live model and its inputs → a trace: observe what it decides, probe what it executes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import pandas as pd
import torch

from condsim.capture.closing import checked
from condsim.capture.decode_sites import with_decode_sites
from condsim.capture.drafts import score_drafts
from condsim.capture.fit_operator import Misfit
from condsim.capture.header import Labels, header_of
from condsim.capture.independent import notes_on_dependence
from condsim.capture.observe import Observation, Quality, observe
from condsim.capture.other_sizes import of_one_batch
from condsim.capture.own_work import refuse_other_work
from condsim.capture.probe import CannotRun, costliest_branches, key, probe
from condsim.capture.quality import decoded_quality, dense_quality, score_exits
from condsim.capture.sizes import (
    Sizes,
    as_fixed,
    as_long,
    in_brackets,
    probed_batch,
    settle,
    with_captured_prompts,
)
from condsim.errors import CondsimError
from condsim.live.decode import has_encoder
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.live.train_step import record_step
from condsim.mechanisms import MECHANISMS
from condsim.program import Program
from condsim.program.regime import Regime
from condsim.trace import Trace
from condsim.trace.encoding import in_memory

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it is done, of how much."""


def capture_trace(
    live: LiveModel,
    batches: list[Batch],
    labels: Labels,
    *,
    new_tokens: int = 0,
    quality: Quality | None = None,
    progress: Progress = lambda _what, _done, _of: None,
) -> Trace:
    """The trace of a model, without measurements.

    new_tokens: greedy cached decode steps after each batch. quality: (output, batch number) →
    float [units]; an encoder-decoder's output are its new tokens.
    Raises CondsimError for a model without routing.
    """
    batches, sizes = settle(live, batches)
    if new_tokens and not live.infos:
        sizes = with_decode_sites(live, batches[0], sizes)
    if live.training is not None:
        record_step(live, batches[0], Execution())  # says in one line what does not train
    if new_tokens and live.infos and sizes.lengths is None:
        raise CondsimError(
            "new_tokens: the inputs hold no sequences that could be longer"
            f"{in_brackets(sizes.refusal)}; capture without new_tokens"
        )
    observed = _counter(progress, "observe", len(batches))
    seen = observe(live, batches, new_tokens, quality, observed, sizes.unit_rows)
    seen.of_one_batch = of_one_batch(live, batches[0])
    seen.notes += seen.of_one_batch.notes
    seen.notes += notes_on_dependence(live, batches[0], seen)
    if sizes.refusal:
        seen.notes.append(f"units are of one fixed size{in_brackets(sizes.refusal)}")
    programs = _probe_any_size(live, batches, sizes, seen, progress)
    score_exits(live, batches, seen, quality)
    if live.decides_while_decoding:
        score_drafts(live, batches, seen, new_tokens)
    costliest = costliest_branches(_captured_program(live, programs), live.infos)
    if quality is not None and new_tokens and has_encoder(live.model):
        decoded_quality(live, batches, seen, quality, new_tokens, costliest)
    elif quality is not None and not new_tokens:
        dense_quality(live, batches, seen, quality, costliest)
    decisions = seen.joined()
    logical = logical_program(live, programs)
    header = header_of(live, seen, decisions, logical, costliest, labels)
    steps = pd.DataFrame(seen.steps)
    trace = Trace(header, steps, programs, in_memory(decisions), seen.quality_table())
    refuse_other_work(live, batches, trace)
    return checked(live, batches[0], trace)


def _probe_any_size(
    live: LiveModel,
    batches: list[Batch],
    sizes: Sizes,
    seen: Observation,
    progress: Progress,
) -> dict[str, Program]:
    """The programs of all lengths; of fewer where no program serves all.

    Those are the captured one alone, or, where tokens were decoded, the captured ones and longer:
    an attention window that a prefix fills has one size from there on. Or else the captured one of
    whole inputs, and all of decode steps. `seen` says so afterwards.
    """
    decode = seen.decodes
    try:
        programs = _probe(live, batches, sizes, decode, progress)
        if not any(program.flagged for program in programs.values()):
            return programs
        return _of_fixed_units(live, batches, sizes, seen, progress) or programs
    except (Misfit, CannotRun):
        for fewer in _fewer_lengths(batches, sizes, decode):
            try:
                programs = _probe(live, *fewer, decode, progress)
            except (Misfit, CannotRun):
                continue
            _say_lengths(seen, *fewer)
            return programs
        raise


def _fewer_lengths(
    batches: list[Batch], sizes: Sizes, decode: bool
) -> Iterator[tuple[list[Batch], Sizes]]:
    """Lengths to try where no program serves all, those that serve the most first."""
    ways = (as_long, with_captured_prompts) if decode else (as_fixed,)
    for way in ways:
        fewer = way(batches, sizes)
        if fewer is not None:
            yield fewer


def _say_lengths(seen: Observation, batches: list[Batch], sizes: Sizes) -> None:
    """Note which lengths the programs are of."""
    if sizes.lengths is None:
        seen.fix_length(sizes.unit_rows)
    elif sizes.prompts is not None:
        seen.notes.append(
            f"the programs of whole inputs are those of {batches[0].seq} positions: what the model "
            "executes at other lengths does not follow from the length"
        )
    else:
        seen.notes.append(
            f"the programs are those of {sizes.lengths.shortest} positions and more: "
            "what the model executes at fewer does not follow from the length"
        )


def _of_fixed_units(
    live: LiveModel,
    batches: list[Batch],
    sizes: Sizes,
    seen: Observation,
    progress: Progress,
) -> dict[str, Program] | None:
    """The programs of units of one length, whose sizes all follow the units; None where not."""
    fixed = None if seen.decodes else as_fixed(batches, sizes)
    if fixed is None:
        return None
    try:
        programs = _probe(live, *fixed, False, progress)
    except (Misfit, CannotRun):
        return None
    if any(program.flagged for program in programs.values()):
        return None
    _, settled = fixed
    seen.fix_length(settled.unit_rows)
    return programs


def _probe(
    live: LiveModel, batches: list[Batch], sizes: Sizes, decode: bool, progress: Progress
) -> dict[str, Program]:
    regimes = 4 if decode else 2
    probed = _counter(progress, "probe", len(live.assignments()) * regimes)
    with one_thread():
        return probe(live, probed_batch(batches), sizes, decode=decode, progress=probed)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch run in one thread inside.

    Shapes do not depend on threads, and at sizes as small as those of probing several threads only
    wait for one another.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _captured_program(live: LiveModel, programs: Mapping[str, Program]) -> Program:
    """The program that the model itself runs, at several units."""
    return programs[key(live.captured, Regime(live.phase, single=False))]


def logical_program(live: LiveModel, programs: Mapping[str, Program]) -> Program:
    """The program in which every guard stands alone: it shows what one more row costs."""
    apart = {mechanism: MECHANISMS[mechanism].alone for mechanism in live.captured}
    return programs[key(apart, Regime(live.phase, single=False))]


def _counter(progress: Progress, what: str, of: int) -> Callable[..., None]:
    """A function that reports one more of `of` each time it is called."""
    done = 0

    def step(*_: object) -> None:
        nonlocal done
        done += 1
        progress(what, done, of)

    return step
