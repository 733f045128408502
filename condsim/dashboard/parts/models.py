"""Models of the catalogue among the traces of the library.

The name of such a trace says the model and what is asked of it: "mixtral-8x7b decode 16x4096" are
16 sequences of 4,096 positions. Its routing is drawn, and nothing of it was measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from condsim.catalogue import CATALOGUE, CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.errors import CondsimError
from condsim.trace import Trace

NAMED = re.compile(r"(?P<model>\S+) (?P<phase>\S+) (?P<batch>\d{1,7})x(?P<context>\d{1,9})")


@dataclass(frozen=True)
class AskedModel:
    """A model of the catalogue, and what is asked of it."""

    model: CatalogueModel
    question: Question

    @property
    def name(self) -> str:
        """What the library calls the trace."""
        asked = self.question
        return f"{self.model.name} {asked.phase} {asked.batch}x{asked.context}"

    def fields(self) -> dict[str, Any]:
        """What is asked, by name."""
        asked = self.question
        return {"batch": asked.batch, "context": asked.context, "phase": asked.phase}

    def words(self) -> list[str]:
        """What a command line takes for it."""
        words = [self.model.name]
        for name, value in self.fields().items():
            words += [f"--{name}", str(value)]
        return words

    def python(self) -> str:
        """An expression that makes the trace."""
        asked = self.question
        question = f"Question({asked.batch}, {asked.context}, {asked.phase!r})"
        return f"trace_of(CATALOGUE[{self.model.name!r}], {question})"


def conditional_models() -> list[str]:
    """Names of the models that decide what runs, and read sequences, as the form asks of them."""
    models = CATALOGUE.values()
    return [model.name for model in models if model.conditional and not model.images]


def asked_model(name: str | None) -> AskedModel | None:
    """What the name of a trace asks of a model; None where it is no such name."""
    found = NAMED.fullmatch(name or "")
    if found is None or found["model"] not in conditional_models():
        return None
    try:
        question = Question(int(found["batch"]), int(found["context"]), found["phase"])
    except CondsimError:
        return None
    return AskedModel(CATALOGUE[found["model"]], question)


@st.cache_resource(max_entries=8, show_spinner="Recording what the model executes")
def drawn_trace(name: str) -> Trace:
    """The trace of such a name. Raises CondsimError where PyTorch is missing."""
    asked = asked_model(name)
    assert asked is not None
    return trace_of(asked.model, asked.question)
