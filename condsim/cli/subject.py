"""What a command is about: a trace, or a model of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.cli.arguments import catalogue_model, open_trace

if TYPE_CHECKING:
    from condsim.decide.subject import Subject


def open_subject(where: str) -> Subject:
    """Open what is asked about.

    where: folder of a trace, or the name of one that comes with condsim, or of a model.
    Raises CondsimError for any other, for a model without routing, and for a trace that holds
    recorded routing only.
    """
    from condsim.decide.subject import ModelSubject, TraceSubject

    model = catalogue_model(where)
    if model is not None:
        model.require_conditional()
        return ModelSubject(model)
    trace = open_trace(where)
    trace.require_programs()
    return TraceSubject(trace)
