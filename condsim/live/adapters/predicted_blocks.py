"""Sparse activation that nobody marked: a feed-forward of whose neurons a predictor picks blocks.

The rule is the structure: two linear layers, the second as wide as the first's output, and beside them a module whose last layer has an output a block. Which
of the usual forms the forward has (the threshold, the activation, the union of blocks gathered or each row masked) is tried on the first call's batch: the form
that gives the own output bit by bit, there and on its first row alone, stands in for it. Where none does, the module runs as it is written.
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

from condsim.live.adapters import ADAPTERS
from condsim.live.adapters.structure import instead, marks_itself, width
from condsim.live.execution import MARKED, Execution, current, executing
from condsim.live.marks import branch, route
from condsim.record.recorder import RecordedOp, Recorder

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}
FEWEST_BLOCKS = 2
PRODUCTS = ("linear", "mm", "addmm", "matmul", "bmm", "baddbmm")


@dataclass(frozen=True)
class Form:
    """How a forward decides and runs. threshold: of the logits, or of their sigmoid; captured: gathered or masked; per_row: a row's own blocks count, not
    only the batch's union."""

    threshold: float
    sigmoid: bool
    activation: str
    captured: str
    per_row: bool

    def __str__(self) -> str:
        decides = f"{'sigmoid(logits)' if self.sigmoid else 'logits'} > {self.threshold:g}"
        return f"{decides}, {self.activation}, {self.captured}{'' if self.per_row else ' for all rows alike'}"

    def active(self, logits: torch.Tensor) -> torch.Tensor:
        """Blocks that each row wants, bool [rows, blocks]."""
        return (logits.sigmoid() if self.sigmoid else logits) > self.threshold


@ADAPTERS.register("predicted_blocks")
def find(model: nn.Module) -> list[Any]:
    """Modules with two linear layers end to end and a predictor of blocks between them."""
    return [site for name, m in model.named_modules() if (site := _site(name, m)) is not None]


def _site(name: str, block: nn.Module) -> PredictedBlocks | None:
    children = dict(block.named_children())
    linears = {n: m for n, m in children.items() if isinstance(m, nn.Linear)}
    for (up_name, up), (down_name, down) in itertools.permutations(linears.items(), 2):
        others = {n: m for n, m in children.items() if n not in (up_name, down_name)}
        if (
            up.out_features != down.in_features
            or up.in_features != down.out_features
            or marks_itself(block)
        ):
            continue
        for predictor in others.values():
            blocks = width(predictor)
            if (
                blocks is not None
                and FEWEST_BLOCKS <= blocks <= up.out_features
                and up.out_features % blocks == 0
            ):
                return PredictedBlocks(name, block, up, down, predictor, blocks)
    return None


class PredictedBlocks:
    """One such module of a live model."""

    top_k = 1
    note = ""

    def __init__(
        self,
        name: str,
        block: nn.Module,
        up: nn.Linear,
        down: nn.Linear,
        predictor: nn.Module,
        blocks: int,
    ) -> None:
        self.name, self.block, self.up, self.down, self.predictor, self.blocks = (
            name or "ffn",
            block,
            up,
            down,
            predictor,
            blocks,
        )
        self.form: Form | None = None
        self.tried = False
        self.guards = False  # it decides something, whether or not that can be read

    @property
    def reason(self) -> str | None:
        """Why it runs as it is written."""
        return (
            None
            if self.form
            else f"a predictor of {self.blocks} blocks beside a feed-forward of {self.up.out_features} neurons, in none of the usual forms"
        )

    def prepare(self, execution: Execution) -> None:
        """Nothing."""

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def offers(self) -> dict[str, tuple[str, ...]]:
        if self.form is None:
            return {}
        others = MARKED["sparse_activation"] if self.form.per_row else ()
        return {"sparse_activation": tuple(dict.fromkeys((self.form.captured, *others)))}

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        with instead(self.block, self._forward):
            yield

    def _forward(self, own: Any, *args: Any, **kwargs: Any) -> Any:
        plain = len(args) == 1 and not kwargs and isinstance(args[0], torch.Tensor)
        if not self.tried and plain:
            self.tried = self.guards = True
            with current().quiet(), executing(Execution()):
                self.form = next(
                    (
                        f
                        for f in self._forms(self._cuts(own, args[0]))
                        if self._gives(f, own, args[0])
                    ),
                    None,
                )
            self.note = (
                f"{self.name}: read as a feed-forward whose {self.blocks} blocks a predictor picks ({self.form})"
                if self.form
                else ""
            )
        if self.form is None or not plain:
            return own(*args, **kwargs)
        current().natural[self.name] = self.form.captured
        return self._run(self.form, args[0])

    def _cuts(self, own: Any, x: torch.Tensor) -> bool:
        """Whether the own forward multiplies with a part of the first layer's weights only."""
        name = next(n for n, p in self.block.named_parameters() if p is self.up.weight)
        with torch.inference_mode(), Recorder(self.block) as recorder:
            own(x)
        return not any(
            isinstance(op, RecordedOp)
            and op.name in PRODUCTS
            and any(t.weight == name for t in op.inputs)
            for op in recorder.events
        )

    def _forms(self, cuts: bool) -> Iterator[Form]:
        own = [
            float(v)
            for k, v in vars(self.block).items()
            if isinstance(v, (int, float)) and not isinstance(v, bool) and "thresh" in k.lower()
        ]
        decisions = [(t, sigmoid) for t in own for sigmoid in (False, True)] + [
            (0.0, False),
            (0.5, True),
        ]
        for (threshold, sigmoid), activation, per_row in itertools.product(
            dict.fromkeys(decisions), ACTIVATIONS, (True, False) if cuts else (True,)
        ):
            yield Form(threshold, sigmoid, activation, "gathered" if cuts else "masked", per_row)

    def _gives(self, form: Form, own: Any, x: torch.Tensor) -> bool:
        """Whether the form gives the own output bit by bit, on the batch and on its first row."""
        try:
            return all(
                torch.equal(own(batch), self._run(form, batch, form.captured))
                for batch in (x, x[:1])
            )
        except (
            Exception
        ):  # whatever a stranger's module, which is no predictor after all, does with such an input
            return False

    def _run(self, form: Form, x: torch.Tensor, strategy: str | None = None) -> torch.Tensor:
        if strategy is not None:
            with executing(Execution({self.name: strategy})):
                return self._run(form, x)
        rows = x.reshape(-1, x.shape[-1])
        route(
            self.name,
            "sparse_activation",
            lambda: form.active(self.predictor(rows)),
            branches=self.blocks,
        )
        with branch(self.name) as blocks:
            bias = self.up.bias
            h = ACTIVATIONS[form.activation](
                F.linear(
                    rows,
                    blocks.weight(self.up.weight, 0),
                    None if bias is None else blocks.weight(bias, 0),
                )
            )
            out = F.linear(
                blocks.mask(h) if form.per_row else h,
                blocks.weight(self.down.weight, 1),
                self.down.bias,
            )
        return out.view(*x.shape[:-1], out.shape[-1])
