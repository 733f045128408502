"""Operators that lead to a decision."""

from __future__ import annotations

from record.made import operator, recording

from condsim.record.routers import mark_routers

STEM, LOGITS, IDS, OUTPUT = range(1, 5)


def test_what_leads_only_to_the_decision_is_its_router() -> None:
    stem = operator("stem", writes=(STEM,))
    gate = operator("gate", reads=(STEM,), writes=(LOGITS,))
    topk = operator("topk", reads=(LOGITS,), writes=(IDS,))
    body = operator("body", reads=(STEM, IDS), writes=(OUTPUT,))
    recorder = recording(stem, gate, topk, body)
    recorder.routes = {"mix": [IDS]}
    mark_routers(recorder)
    assert [op.role for op in (stem, gate, topk, body)] == ["", "router:mix", "router:mix", ""]


def test_what_leads_elsewhere_too_is_no_router() -> None:
    gate = operator("gate", writes=(LOGITS,))
    topk = operator("topk", reads=(LOGITS,), writes=(IDS,))
    loss = operator("loss", reads=(LOGITS,), writes=(OUTPUT,))
    recorder = recording(gate, topk, loss)
    recorder.routes = {"mix": [IDS]}
    mark_routers(recorder)
    assert [op.role for op in (gate, topk, loss)] == ["", "router:mix", ""]
