"""Tokens of prompts and answers decide as those of the trace do."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.serve.prices.sequences import Texts
from condsim.trace import Trace


def test_sequences_are_prompts_and_the_steps_behind_them(talking: Trace) -> None:
    """Three batches of four sequences of 7 tokens, and 3 more each."""
    texts = Texts.of(talking)
    assert len(texts) == 12
    assert texts.prompt[:5] == [0, 1, 2, 3, 16]
    assert texts.answers[0] == [4, 8, 12]
    assert texts.answers[4] == [20, 24, 28]
    assert texts.answer_unit(0, 1) == 4
    assert texts.answer_unit(0, 4) == 4, "a longer answer goes through them again"


def test_chunks_of_a_prompt_add_up_to_it(talking: Trace) -> None:
    texts = Texts.of(talking)
    whole = texts.prompt_counts(5, 0, 7)
    assert whole.tolist() == texts.of_unit[texts.prompt[5]].tolist()
    assert whole.sum() == 7
    parts = texts.prompt_counts(5, 0, 3) + texts.prompt_counts(5, 3, 4)
    assert parts.tolist() == whole.tolist()
    longer = texts.prompt_counts(5, 0, 17)
    assert longer.tolist() == (2 * whole + texts.prompt_counts(5, 0, 3)).tolist()
    each = sum(texts.prompt_counts(5, past, 1) for past in range(7))
    np.testing.assert_array_equal(each, whole)


def test_a_trace_without_decode_steps_generates_nothing() -> None:
    with pytest.raises(CondsimError, match="has no decode steps: capture it with new tokens"):
        Texts.of(condsim.load(resource("traces") / "moe-bytes"))
