"""Kernels of runtime `compiled` beside those that torch.compile makes on this CPU: how many, and
which operators are in each.

    python -m benchmarks.compiled

Each module is recorded as a program and joined by `condsim.runtimes.fusion` as a GPU's compiler
does; TorchInductor compiles the same module, and its kernels are read from the code it writes.
Products are left out on both sides: on a CPU (and, without max-autotune, on a GPU) Inductor calls a
library for them, so what `join` puts behind a product is a kernel of its own there. Where a
reduction follows that, Inductor joins the two, `join` does not: the attention. On a CPU runtime
`compiled` leaves products alone, and there all agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from condsim.capture.fit import Fitter, Run
from condsim.program import JOINED, Op, Program
from condsim.record.nest import tree
from condsim.record.recorder import Recorder
from condsim.runtimes.fusion import kind
from condsim.runtimes.runtime import COMPILED, COMPILED_ON_CPU

ROWS, WIDTH = 32, 64
Kernels = list[tuple[str, ...]]
"""Operators of each kernel that is no product, in order."""


class Mlp(nn.Module):
    """A transformer's feed-forward with its norm and its residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, 2 * WIDTH),
            nn.Linear(2 * WIDTH, WIDTH),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Gated(nn.Module):
    """Two halves of one product, one of which gates the other."""

    def __init__(self, gate: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.up, self.down, self.gate = (
            nn.Linear(WIDTH, 4 * WIDTH, bias=False),
            nn.Linear(2 * WIDTH, WIDTH, bias=False),
            gate,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.up(x).chunk(2, -1)
        return self.down(self.gate(gate) * up)


class RootMeanSquare(nn.Module):
    """A norm in its parts, between two products."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.scale = (
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Parameter(torch.ones(WIDTH)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        return self.second(h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale)


class Attention(nn.Module):
    """Scores, scaled and normalised, of one head."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.out(torch.softmax((q @ k.mT) * WIDTH**-0.5, -1) @ v)


class Chain(nn.Module):
    """Elementwise operators one after the other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(x * 2 + 1).exp() / 3).sigmoid()


class Exit(nn.Module):
    """An early exit's head: its confidence from its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(F.relu(self.norm(x))), -1).amax(-1)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "feed-forward": Mlp,
    "swiglu": lambda: Gated(F.silu),
    "geglu": lambda: Gated(F.gelu),
    "rms norm": RootMeanSquare,
    "attention": Attention,
    "chain": Chain,
    "exit head": Exit,
}


def predicted(module: nn.Module, device: str = "gpu") -> Kernels:
    """What runtime `compiled` makes of the module on a class of devices."""
    x = torch.randn(ROWS, WIDTH)
    with torch.inference_mode(), (recorder := Recorder(module)):
        result = module(x)
        recorder.stop()
    del result
    program: Program = Fitter().program(
        "compacted", "prefill-n", [Run({"batch": ROWS}, tree(recorder, {}), recorder.calls)]
    )
    kernels: list[list[str]] = []
    runtime = COMPILED_ON_CPU if device == "cpu" else COMPILED
    for node in runtime.fused(program).root.nodes:
        assert isinstance(node, Op)
        if node.name.endswith(JOINED):
            kernels[-1].append(node.name.removesuffix(JOINED))
        elif not node.view:
            kernels.append([] if kind(node) == "product" else [node.name])
    return [tuple(k) for k in kernels if k]


def compiled(module: nn.Module) -> list[str]:
    """Names of the kernels that Inductor writes, in the order of their calls; each names the
    operators in it."""
    from torch._inductor.utils import run_and_get_code

    torch._dynamo.reset()
    with torch.no_grad():
        _, code = run_and_get_code(torch.compile(module, dynamic=False), torch.randn(ROWS, WIDTH))
    return re.findall(r"(cpp_fused\w*)\(", code[0].split("def call(")[1])


def agrees(ours: Kernels, theirs: list[str]) -> bool:
    """Whether there are as many kernels, and each holds the operators of its counterpart."""
    if len(ours) != len(theirs):
        return False
    for group, kernel in zip(ours, theirs, strict=True):
        if not all(name.strip("_") in kernel for name in group):
            return False
    return True


def main() -> None:
    same = 0
    for name, make in MODULES.items():
        module = make().eval()
        ours, theirs = predicted(module), compiled(module)
        same += agrees(ours, theirs)
        verdict = "agrees" if agrees(ours, theirs) else "differs"
        groups = " | ".join("+".join(group) for group in ours)
        counts = f"{len(ours):3d} {len(theirs):3d}"
        print(f"{name:14s}{verdict:9s}{counts}  {groups}  {' '.join(theirs)}")
    print(f"{same} of {len(MODULES)} modules have the same kernels under torch {torch.__version__}")


if __name__ == "__main__":
    main()
