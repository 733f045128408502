"""The parts of a report that say what a colleague would: advice with its evidence, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from condsim.decide.against import against
from condsim.show.advice import (
    BESIDE_THE_WATERFALL,
    basis_lines,
    biggest_line,
    changes_in_words,
    flip_line,
    not_seen_lines,
    verdict_sentence,
    why_lines,
)
from condsim.show.decision_plots import against_figure
from condsim.show.html import Html, tag
from condsim.show.html_blocks import listed, picture, table_of
from condsim.show.text import size
from condsim.study.memory_parts import memory_parts

if TYPE_CHECKING:
    from condsim.decide.advise.advice import Advice
    from condsim.predict.prediction import Prediction


def advice_sections(advice: Advice) -> Iterator[Html]:
    """What the advisor says, question by question."""
    yield tag("h2", "What would a colleague say?")
    yield tag("p", verdict_sentence(advice.call))
    yield picture(against_figure(against(advice.answer, advice.call)), "Speedup over dense models")
    yield listed(why_lines(advice))
    yield tag("p", BESIDE_THE_WATERFALL, class_="small")
    yield tag("h2", "What would gain most, and where the verdict flips")
    flips = [flip_line(row) for row in advice.flips.to_dict("records")]
    yield listed([biggest_line(advice), *flips])
    yield table_of(changes_in_words(advice.changes))
    yield tag("h2", "What the verdict rests on, and what was not seen")
    yield listed([*basis_lines(advice), *not_seen_lines(advice)])
    yield tag("p", "How to measure the same:")
    yield tag("pre", "\n".join(advice.verify))


def memory_section(p: Prediction) -> Iterator[Html]:
    """What fills the memory, part by part."""
    yield tag("h2", "What fills the memory")
    if p.memory.training is not None:
        yield tag("p", f"A training step; its peak is in {p.memory.training.place}.")
    parts = memory_parts(p)
    columns = {"part": parts["part"]}
    for name, header in (("conditional", "model"), ("dense", "dense")):
        columns[header] = parts[f"{name}_bytes"].map(size)
    yield table_of(pd.DataFrame(columns))
