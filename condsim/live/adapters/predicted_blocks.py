"""Sparse activation that nobody marked: a feed-forward of whose neurons a predictor picks blocks.

The rule is the structure: two linear layers, the second as wide as the first's output, and beside
them a module whose last layer has an output a block. Which of the usual forms the forward has (the
threshold, the activation, the union of blocks gathered or each row masked) is tried on the first
call's batch: the form that gives the forward's own output bit by bit, there and on its first row
alone, stands in for it. Where no form does, the module runs as it is written.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from condsim.live.adapters.base import ADAPTERS, LiveSite
from condsim.live.adapters.structure import marks_itself, width
from condsim.live.block_selectors import BlockSelector
from condsim.live.execution import Execution, current, executing
from condsim.live.lift.tape import CONTAINERS
from condsim.live.marks import branch, route
from condsim.mechanisms.sparse_activation import SparseActivation
from condsim.record.recorder import RecordedOp, Recorder

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}
FEWEST_BLOCKS = 2
PRODUCTS = ("linear", "mm", "addmm", "matmul", "bmm", "baddbmm")
"""Operators that multiply by a weight."""
GATHERED, MASKED = "gathered", "masked"
USUAL_DECISIONS = ((0.0, False), (0.5, True))
"""(threshold, whether it is one of the sigmoid): a probability of one half, written in two ways."""


@dataclass(frozen=True)
class Form:
    """How a forward decides and runs.

    threshold: of the logits, or of their sigmoid where `sigmoid`.
    captured: the strategy that the forward itself runs, gathered or masked.
    per_row: each row gets its own blocks, not those of the batch's union.
    """

    threshold: float
    sigmoid: bool
    activation: str
    captured: str
    per_row: bool

    def __str__(self) -> str:
        logits = "sigmoid(logits)" if self.sigmoid else "logits"
        rows = "" if self.per_row else " for all rows alike"
        return f"{logits} > {self.threshold:g}, {self.activation}, {self.captured}{rows}"

    def active(self, logits: torch.Tensor) -> torch.Tensor:
        """Blocks that each row wants, bool [rows, blocks]."""
        return (logits.sigmoid() if self.sigmoid else logits) > self.threshold


@dataclass(frozen=True)
class Parts:
    """The parts of a feed-forward. predictor: gives a logit a block."""

    up: nn.Linear
    down: nn.Linear
    predictor: nn.Module
    blocks: int


@ADAPTERS.register("predicted_blocks")
def find(model: nn.Module) -> list[LiveSite]:
    """Modules with two linear layers end to end and a predictor of blocks beside them."""
    sites: list[LiveSite] = []
    for name, module in model.named_modules():
        has_forward = not isinstance(module, CONTAINERS)
        parts = _parts(module) if has_forward and not marks_itself(module) else None
        if parts is not None:
            sites.append(PredictedBlocks(name or "ffn", module, parts))
    return sites


def _parts(block: nn.Module) -> Parts | None:
    """The parts of a feed-forward, None for any other structure."""
    children = list(block.children())
    linears = [child for child in children if isinstance(child, nn.Linear)]
    for up, down in itertools.permutations(linears, 2):
        if up.out_features != down.in_features or up.in_features != down.out_features:
            continue
        for predictor in children:
            if predictor is up or predictor is down:
                continue
            blocks = width(predictor)
            if blocks is not None and _splits_into(blocks, up.out_features):
                return Parts(up, down, predictor, blocks)
    return None


def _splits_into(blocks: int, neurons: int) -> bool:
    """Whether so many neurons can be blocks of one size."""
    return FEWEST_BLOCKS <= blocks <= neurons and neurons % blocks == 0


class PredictedBlocks(LiveSite):
    """One such module of a live model. form: how its forward decides and runs, once it is known."""

    def __init__(self, name: str, block: nn.Module, parts: Parts) -> None:
        super().__init__(name, block)
        self.parts = parts
        self.router = parts.predictor
        self.form: Form | None = None
        self._tried = False

    @property
    def sites(self) -> tuple[str, ...]:
        return () if self.form is None else (self.name,)

    @property
    def notes(self) -> list[str]:
        if self.form is None:
            return []
        return [
            f"{self.name}: read as a feed-forward whose {self.parts.blocks} blocks "
            f"a predictor picks ({self.form})"
        ]

    def offers(self) -> dict[str, tuple[str, ...]]:
        if self.form is None:
            return {}
        others = SparseActivation.marked if self.form.per_row else ()
        strategies = dict.fromkeys((self.form.captured, *others))
        return {SparseActivation.name: tuple(strategies)}

    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        is_plain = len(args) == 1 and not kwargs and isinstance(args[0], torch.Tensor)
        if not is_plain:
            return own_forward(*args, **kwargs)
        if not self._tried:
            self._tried = self.guards = True
            with current().quiet(), executing(Execution()):
                self._find_form(own_forward, args[0])
        if self.form is None:
            return own_forward(*args, **kwargs)
        current().natural[self.name] = self.form.captured
        return self._run(self.form, args[0])

    def _find_form(self, own_forward: Callable[..., Any], x: torch.Tensor) -> None:
        """Try the usual forms. Sets `form` or `reason`."""
        for form in self._forms(self._cuts_weights(own_forward, x)):
            if self._gives(form, own_forward, x):
                self.form = form
                return
        self.reason = (
            f"a predictor of {self.parts.blocks} blocks beside a feed-forward of "
            f"{self.parts.up.out_features} neurons, in none of the usual forms"
        )

    def _cuts_weights(self, own_forward: Callable[..., Any], x: torch.Tensor) -> bool:
        """Whether the forward multiplies by a part of the first layer's weights only."""
        names: dict[torch.Tensor, str] = {}
        for name, weight in self.block.named_parameters():
            names[weight] = name
        whole_weight = names[self.parts.up.weight]
        with torch.inference_mode(), Recorder(self.block) as recorder:
            own_forward(x)
        for op in recorder.events:
            if not isinstance(op, RecordedOp) or op.name not in PRODUCTS:
                continue
            if any(tensor.weight == whole_weight for tensor in op.inputs):
                return False
        return True

    def _forms(self, cuts_weights: bool) -> Iterator[Form]:
        """The usual forms, those with a threshold that the module holds first."""
        decisions = []
        for threshold in self._thresholds():
            decisions += [(threshold, False), (threshold, True)]
        decisions += USUAL_DECISIONS
        captured = GATHERED if cuts_weights else MASKED
        union_or_row = (True, False) if cuts_weights else (True,)
        combinations = itertools.product(dict.fromkeys(decisions), ACTIVATIONS, union_or_row)
        for (threshold, sigmoid), activation, per_row in combinations:
            yield Form(threshold, sigmoid, activation, captured, per_row)

    def _thresholds(self) -> list[float]:
        """Numbers that the module holds under the name of a threshold."""
        thresholds = []
        for name, value in vars(self.block).items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_number and "thresh" in name.lower():
                thresholds.append(float(value))
        return thresholds

    def _gives(self, form: Form, own_forward: Callable[..., Any], x: torch.Tensor) -> bool:
        """Whether a form gives the forward's output bit by bit, on a batch and its first row."""
        # A stranger's module that is no predictor after all may do anything with such an input.
        with contextlib.suppress(Exception):
            for batch in (x, x[:1]):
                own = own_forward(batch)
                with executing(Execution({self.name: form.captured})):
                    if not torch.equal(own, self._run(form, batch)):
                        return False
            return True
        return False

    def _run(self, form: Form, x: torch.Tensor) -> torch.Tensor:
        """The feed-forward as a form has it, with marks. x: [..., width]."""
        rows = x.reshape(-1, x.shape[-1])
        route(
            self.name,
            SparseActivation.name,
            lambda: form.active(self.parts.predictor(rows)),
            branches=self.parts.blocks,
        )
        with branch(self.name) as blocks:
            hidden = ACTIVATIONS[form.activation](self._up(blocks, rows))
            asked = blocks.mask(hidden) if form.per_row else hidden
            out = self._down(blocks, asked)
        return out.view(*x.shape[:-1], out.shape[-1])

    def _up(self, blocks: BlockSelector, rows: torch.Tensor) -> torch.Tensor:
        weight, bias = self.parts.up.weight, self.parts.up.bias
        cut_weight = blocks.weight(weight, 0)
        cut_bias = None if bias is None else blocks.weight(bias, 0)
        return F.linear(rows, cut_weight, cut_bias)

    def _down(self, blocks: BlockSelector, hidden: torch.Tensor) -> torch.Tensor:
        cut_weight = blocks.weight(self.parts.down.weight, 1)
        return F.linear(hidden, cut_weight, self.parts.down.bias)
