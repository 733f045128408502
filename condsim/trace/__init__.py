"""A captured model: which rows took which branches, in which steps, and the programs they steer."""

from condsim.trace.columns import MEASUREMENTS, SEGMENTS
from condsim.trace.header import DTYPES, SCHEMA_VERSION, Header, Provenance, Site
from condsim.trace.model import Decisions, Reader, Trace

__all__ = [
    "DTYPES",
    "MEASUREMENTS",
    "SCHEMA_VERSION",
    "SEGMENTS",
    "Decisions",
    "Header",
    "Provenance",
    "Reader",
    "Site",
    "Trace",
]
