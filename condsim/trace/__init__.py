"""A captured model: which rows took which branches, in which steps, and the programs they steer."""

from condsim.trace.model import (
    DTYPES,
    MEASUREMENTS,
    SCHEMA_VERSION,
    SEGMENTS,
    Decisions,
    Header,
    Mechanism,
    Provenance,
    Site,
    Trace,
)

__all__ = [
    "DTYPES",
    "MEASUREMENTS",
    "SCHEMA_VERSION",
    "SEGMENTS",
    "Decisions",
    "Header",
    "Mechanism",
    "Provenance",
    "Site",
    "Trace",
]
