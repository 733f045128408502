"""The report's HTML: well-formed, escaped, and with every part."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

import condsim
from condsim.resources import resource
from condsim.show.escape import printable
from condsim.show.report import report
from condsim.study.answer import Answer, answer
from condsim.trace import Trace

ALONE = ("img", "meta")
"""Elements without an end."""


class Outline(HTMLParser):
    """Collects headings, and checks that every element ends in the right place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="module")
def answered(trace: Trace) -> Answer:
    return answer(trace)


def test_every_part_is_there(trace: Trace, answered: Answer) -> None:
    rows = [answered.prediction.to_dict()]
    parsed = outline(report(trace, answered, rows, "condsim report"))
    assert parsed.headings == [
        "What costs most",
        "What fills the memory",
        "Is it true?",
        "On other devices",
        "What the model decided",
        "What it rests on",
    ]
    assert "condsim report" in parsed.texts


def test_parts_without_content_say_so_or_are_left_out(trace: Trace) -> None:
    unmeasured = replace(trace, measurements=trace.measurements.iloc[:0])
    answered = answer(unmeasured)
    failed = {"profile": "a", "error": "cannot"}
    parsed = outline(report(unmeasured, answered, [failed], ""))
    assert "On other devices" not in parsed.headings
    assert any("Nothing was measured" in text for text in parsed.texts)


def test_what_the_user_typed_is_escaped(trace: Trace, answered: Answer) -> None:
    command = "condsim report <script>alert(1)</script> & more"
    html = report(trace, answered, [], command)
    assert "<script>" not in html
    assert command in outline(html).texts


def said_of_accuracy(trace: Trace, device: str | None) -> str:
    """The words below "Is it true?"."""
    texts = outline(report(trace, answer(trace, device), [], "")).texts
    start, end = texts.index("Is it true?"), texts.index("What the model decided")
    return "".join(texts[start + 1 : end])


def test_accuracy_is_that_of_the_machine_that_is_named(trace: Trace) -> None:
    said = said_of_accuracy(trace, None)
    assert f"On {trace.profile.name}: speedup over" in said
    assert "The worst" in said


def test_a_device_without_measurements_has_no_accuracy_of_its_own(trace: Trace) -> None:
    for device in ("nvidia-h100-sxm", "google-tpu-v4"):
        said = said_of_accuracy(trace, device)
        assert said.startswith(f"\nNothing was measured on {device}")
        assert "estimated and was not checked" in said
        assert said.index("median |error|") > said.index(f"On {trace.profile.name}")
        assert "The worst" not in said


@pytest.mark.parametrize("bad", ["<script>alert(1)</script>", "' onload='x", "\x1b[2J $x$"])
def test_what_a_trace_or_a_profile_says_is_escaped(
    trace: Trace, answered: Answer, bad: str
) -> None:
    provenance = trace.header.provenance.model_copy(
        update={"model": bad, "taken": bad, "versions": {bad: bad}}
    )
    header = trace.header.model_copy(update={"name": bad, "provenance": provenance})
    names = {"trace": bad, "profile": bad, "strategy": bad, "dtype": bad, "runtime": bad}
    prediction = replace(answered.prediction, **names, notes=(bad,), estimated={bad: 1.0})
    row = {**answered.prediction.to_dict(), **names, "basis": bad}
    unmeasured = replace(trace, header=header, measurements=trace.measurements.iloc[:0])
    html = report(unmeasured, replace(answered, prediction=prediction), [row], bad)
    html.encode()
    tags = outline(html)
    shown = printable(bad)
    assert sum(shown in text for text in tags.texts) >= 8
    for element in ("<script", "onload='", "\x1b"):
        assert element not in html
