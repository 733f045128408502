"""What stands for all that a simulation reads of a trace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np

from condsim.program.json import to_json
from condsim.trace.model import Decisions, Trace


def digest_of(trace: Trace) -> str:
    """Return hexadecimal text that is equal for two traces of equal content, and for no others.

    Header, steps, decisions and programs count; quality and measurements do not.
    """
    digest = hashlib.sha256()
    for part in _parts(trace):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _parts(trace: Trace) -> Iterator[bytes]:
    yield trace.header.model_dump_json().encode()
    yield trace.steps.to_csv(index=False).encode()
    yield json.dumps(to_json(trace.programs), sort_keys=True).encode()
    if not trace.header.has_decisions:
        return
    for site in trace.sites:
        decisions = trace.decisions(site.name)
        yield from _bytes_of(decisions)


def _bytes_of(decisions: Decisions) -> Iterator[bytes]:
    for array in (decisions.ids, decisions.weights, decisions.scores):
        if array is None:
            yield b"none"
        else:
            shape = f"{array.dtype} {array.shape}".encode()
            yield shape + np.ascontiguousarray(array).tobytes()
