"""FLOPs of every operator that computes: those that PyTorch counts, else by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn, rand
from torch.utils.flop_counter import FlopCounterMode

from condsim.program.work import is_uncounted, work
from condsim.record.events import RecordedOp
from condsim.record.recorder import Recorder

Call = Callable[..., Any]
SEQUENCE = rand(5, 7, 8)
IMAGE, VOLUME, SOUND = rand(5, 4, 9, 9), rand(5, 4, 9, 9, 9), rand(5, 4, 9)
PACKED = nn.utils.rnn.pack_padded_sequence(SEQUENCE, torch.tensor([7, 6, 4, 4, 1]), True)


def recorded(call: Call, *args: Any) -> list[RecordedOp]:
    """What a call runs, without views."""
    model = call if isinstance(call, nn.Module) else nn.Identity()
    with torch.inference_mode(), Recorder(model.eval()) as recorder:
        call(*args)
    return [op for op in recorder.events if isinstance(op, RecordedOp) and not op.view]


def counted(call: Call, *args: Any) -> int:
    """FLOPs by the formulas."""
    flops = 0
    for op in recorded(call, *args):
        shapes = [[tensor.shape for tensor in tensors] for tensors in (op.inputs, op.outputs)]
        flops += work(op.name, *shapes, op.params).flops
    return flops


def einsum(equation: str) -> Call:
    return lambda *operands: torch.einsum(equation, *operands)


KNOWN_TO_PYTORCH: dict[str, tuple[Any, ...]] = {
    "gru cell": (nn.GRUCell(8, 12), rand(5, 8), rand(5, 12)),
    "lstm cell": (nn.LSTMCell(8, 12), rand(5, 8)),
    "rnn cell": (nn.RNNCell(8, 12), rand(5, 8)),
    "rnn cell, relu, one row": (nn.RNNCell(8, 12, nonlinearity="relu"), rand(8)),
    "gru": (nn.GRU(8, 12, 2, batch_first=True, bidirectional=True), SEQUENCE),
    "gru without bias": (nn.GRU(8, 12, bias=False), SEQUENCE),
    "gru, packed": (nn.GRU(8, 12, 2), PACKED),
    "lstm, projected": (nn.LSTM(8, 12, 2, proj_size=4), SEQUENCE),
    "rnn": (nn.RNN(8, 12, 2), SEQUENCE),
    "conv1d in groups": (nn.Conv1d(4, 6, 3, groups=2), SOUND),
    "conv1d of one": (nn.Conv1d(4, 6, 3), SOUND[0]),
    "conv2d in groups": (nn.Conv2d(4, 6, 3, stride=2, groups=2), IMAGE),
    "conv2d of one": (nn.Conv2d(4, 6, 3), IMAGE[0]),
    "conv3d": (nn.Conv3d(4, 6, 3), VOLUME),
    "conv_transpose1d": (nn.ConvTranspose1d(4, 6, 3, stride=2), SOUND),
    "conv_transpose2d in groups": (nn.ConvTranspose2d(4, 6, 3, groups=2), IMAGE),
    "conv_transpose3d": (nn.ConvTranspose3d(4, 6, 3), VOLUME),
    "baddbmm": (torch.baddbmm, rand(5, 3, 6), rand(5, 3, 4), rand(5, 4, 6)),
    "inner": (torch.inner, rand(4, 5), rand(3, 5)),
    "tensordot": (
        lambda a, b: torch.tensordot(a, b, [[0, 2], [1, 0]]),
        rand(4, 5, 6),
        rand(6, 4, 3),
    ),
    "chain": (torch.chain_matmul, rand(4, 5), rand(5, 6), rand(6, 3), rand(3, 8)),
    "vector times matrices": (torch.matmul, rand(3), rand(4, 3, 5)),
    "matrix times matrices": (torch.matmul, rand(6, 3), rand(4, 3, 5)),
    "matrices times matrix": (torch.matmul, rand(4, 6, 3), rand(3, 5)),
    "broadcast": (torch.matmul, rand(4, 1, 6, 3), rand(7, 3, 5)),
    "over the first": (einsum("ij,ik->jk"), rand(5, 3), rand(5, 4)),
    "dispatch": (einsum("tec,td->ecd"), rand(7, 3, 5), rand(7, 4)),
    "combine": (einsum("tec, ecd -> td"), rand(7, 3, 5), rand(3, 5, 4)),
    "any in front": (einsum("...d,de->...e"), rand(7, 3, 5), rand(5, 4)),
    "no result named": (einsum("ik,kj"), rand(7, 3), rand(3, 4)),
    "three operands": (einsum("bi,oij,bj->bo"), rand(7, 3), rand(6, 3, 5), rand(7, 5)),
    "nothing summed": (einsum("i,j->ij"), rand(7), rand(3)),
    "broadcast letter": (einsum("bij,bjk->bik"), rand(1, 3, 4), rand(6, 4, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN_TO_PYTORCH)
def test_as_pytorch_counts(name: str) -> None:
    call, *args = KNOWN_TO_PYTORCH[name]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call(*args)
    assert counted(call, *args) == counter.get_total_flops()


ATTENTION = 4 * 5 * 7 * 7 * 8
"""Of the units, their queries, keys, and the width of all heads."""
PROJECTIONS = 2 * 35 * (24 * 8 + 8 * 8)
BY_HAND: dict[str, tuple[int, tuple[Any, ...]]] = {
    "lstm": (2 * 35 * 48 * (8 + 12 + 12 + 12), (nn.LSTM(8, 12, 2), SEQUENCE)),
    "bilinear": (2 * 7 * 6 * 5 * (4 + 1), (nn.Bilinear(4, 5, 6), rand(7, 4), rand(7, 5))),
    "attention": (
        PROJECTIONS + ATTENTION,
        (nn.MultiheadAttention(8, 2, batch_first=True), SEQUENCE, SEQUENCE, SEQUENCE),
    ),
    "encoder layer": (
        PROJECTIONS + ATTENTION + 2 * 35 * 2 * 16 * 8,
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), SEQUENCE),
    ),
    "attention by itself": (ATTENTION, (F.scaled_dot_product_attention, *[rand(5, 2, 7, 4)] * 3)),
    "addbmm": (720, (torch.addbmm, rand(3, 6), rand(5, 3, 4), rand(5, 4, 6))),
    "in place": (720, (rand(5, 3, 6).baddbmm_, rand(5, 3, 4), rand(5, 4, 6))),
    "mv": (30, (torch.mv, rand(5, 3), rand(3))),
    "addmv": (30, (torch.addmv, rand(5), rand(5, 3), rand(3))),
    "dot": (10, (torch.dot, rand(5), rand(5))),
    "vecdot": (2 * 4 * 5, (torch.linalg.vecdot, rand(4, 5), rand(4, 5))),
    "cdist": (240, (torch.cdist, rand(4, 5), rand(6, 5))),
    "activation": (120, (torch._addmm_activation, rand(5), rand(4, 3), rand(3, 5))),
    "int8": (2 * 32 * 32 * 16, (torch._int_mm, rand(32, 32).char(), rand(32, 16).char())),
    "conv_tbc": (3600, (torch.conv_tbc, rand(7, 5, 4), rand(3, 4, 6), rand(6))),
    "grouped": (
        2 * 12 * 8 * 16,
        (
            lambda x, w, ends: F.grouped_mm(x, w, offs=ends),
            *(rand(12, 8), rand(3, 8, 16), torch.tensor([4, 8, 12], dtype=torch.int32)),
        ),
    ),
    "bags of words": (0, (nn.EmbeddingBag(10, 4), torch.randint(10, (5, 3)))),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    flops, (call, *args) = BY_HAND[name]
    assert counted(call, *args) == flops


@pytest.mark.parametrize(
    "call", [lambda a: torch.linalg.solve(a, a), lambda a: torch.fft.fft(a), torch.linalg.cholesky]
)
def test_what_has_no_formula_is_known(call: Call) -> None:
    assert any(is_uncounted(op.name) for op in recorded(call, torch.eye(4)))
