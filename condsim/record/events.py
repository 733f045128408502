"""What a recording consists of: operators, guards, the lives of storages, calls of experts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class RecordedTensor:
    """Shape and name as seen in the run.

    dtype: "float" for the dtype of the model. weight: name of a parameter or buffer, or "".
    storage: number of its storage in this recording.
    """

    shape: tuple[int, ...]
    dtype: str
    weight: str = ""
    storage: int = 0


@dataclass(eq=False)
class RecordedOp:
    """An operator as it was called once.

    params: what shapes do not say, see `condsim.program.Op`. role: "" or "router:SITE". site: the
    moe site whose call it belongs to, or "". module: path of the module that called it.
    entered: module calls that began since the operator before it. instructions: bytecode
    instructions that Python ran since. view: whether it only names memory anew. sync: whether the
    host waits for its result. allocs: (elements, dtype) of each storage that it creates.
    node: in a training step, of a forward operator, the number of the autograd node that would come
    next; of a backward one, that of the node which runs it, None between nodes. accumulates: the
    weight whose gradient it keeps, or "".
    """

    name: str
    inputs: list[RecordedTensor]
    outputs: list[RecordedTensor]
    params: tuple[int, ...]
    role: str
    site: str
    module: str
    entered: int
    instructions: int
    view: bool
    sync: bool
    allocs: list[tuple[int, str]] = field(default_factory=list)
    node: int | None = None
    accumulates: str = ""


@dataclass(eq=False)
class Enter:
    """A guard's body begins.

    new_loop: it belongs to no loop that runs already. of_tokens: its rows are the tokens of each
    unit.
    """

    site: str
    choice: int
    new_loop: bool = False
    of_tokens: bool = False


@dataclass(eq=False)
class Leave:
    """A guard's body ends.

    outer: rows that stood before the guard. count: rows that ran. Both are known only now. units:
    those that ran, where a guard runs some of the step's units, each with so many rows. tokens:
    that ran of each row, where rows run what they owe.
    """

    site: str
    outer: int
    count: int
    units: int | None = None
    tokens: int | None = None


@dataclass(eq=False)
class Died:
    """A storage that `op` allocated has no owner left. alloc: which of its allocations."""

    op: RecordedOp
    alloc: int


@dataclass(eq=False)
class SiteCall:
    """A moe site's experts begin (or end) to run."""

    site: str
    begins: bool


@dataclass(eq=False)
class Stage:
    """A stage of a training step begins after its first forward.

    name: "backward" or "optimizer", or "forward" of a later micro-batch.
    """

    name: str


Event = RecordedOp | Enter | Leave | Died | SiteCall | Stage


@dataclass(frozen=True)
class ExpertsCall:
    """How a moe site's experts were called.

    outer: rows that arrived. capacity: rows that an expert has room for, 0 where there is no limit.
    unmarked_loop: whether they ran in a Python loop that carries no marks. idle: experts that
    compute nothing.
    """

    tokens_per_expert: list[int]
    outer: int
    capacity: int
    unmarked_loop: bool
    idle: frozenset[int] = frozenset()
