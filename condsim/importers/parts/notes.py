"""What was found in a recording, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from condsim.importers.parts.spool import Spool
from condsim.importers.parts.tidy import CONSTANT_RUN, Findings

FILES_NAMED = 5
"""Files that a note names at most."""
FOUND = {
    "padding": "padding: {} tokens without a decision at any layer were left out",
    "constant": f"constant runs: {{}} tokens in runs of {CONSTANT_RUN} or more equal ones, which"
    " are dummy batches, were left out",
    "out_of_range": "out of range: {} ids that no expert has count as unset",
    "unset": "unset: {} ids of the tokens that were kept say nothing",
    "repeated": "{} rows name an expert twice",
}
"""A number of `FileNumbers` → what is said of its sum."""


def notes_of(spool: Spool, findings: Findings) -> Iterator[str]:
    """Yield a sentence for each thing that was found."""
    yield from spool.notes
    for what, sentence in FOUND.items():
        total = findings.total(what)
        if total:
            yield sentence.format(f"{total:,}") + _by_file(findings, what)
    if findings.empty_layers:
        yield f"layers {spans(findings.empty_layers)} hold no decisions and were left out"
    if findings.same_as:
        copies, originals = spans(findings.same_as), spans(set(findings.same_as.values()))
        yield (
            f"layers that repeat: {copies} hold the very decisions of {originals}; "
            "they were recorded once"
        )
    if not findings.finite:
        yield "weights that are not finite: no weights were kept"
    if findings.experts_guessed:
        most = max(findings.experts.values())
        yield (
            f"nothing says how many experts a layer has: {most}, one more than the highest id, is "
            "taken (--experts says it)"
        )


def _by_file(findings: Findings, what: str) -> str:
    """(a.npy 12, b.npy 3 and 4 more files), where there are several files."""
    if len(findings.files) == 1:
        return ""
    having = [file for file in findings.files if getattr(file, what)]
    named = [f"{file.name} {getattr(file, what):,}" for file in having[:FILES_NAMED]]
    more = len(having) - len(named)
    rest = f" and {more} more files" if more else ""
    return f" ({', '.join(named)}{rest})"


def spans(numbers: Iterable[int]) -> str:
    """Numbers as ranges: "0-2, 5"."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
