"""One operator as several runs called it → one operator whose sizes are forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from condsim.capture.forms import Sizes, fit_dim
from condsim.capture.share_forms import fit_share
from condsim.errors import CondsimError
from condsim.program import Dim, Op, Product, Tensor, elements
from condsim.program.operators import strides_recorded
from condsim.record.events import ExpertsCall, RecordedOp, RecordedTensor
from condsim.record.nest import Instance, RunScope


class Misfit(CondsimError):
    """Runs of one regime that do not have the same operators.

    module: path of the module that runs the first that differs. site: whose experts it belongs to.
    Both are "" for none.
    """

    def __init__(self, message: str, op: RecordedOp | None = None) -> None:
        super().__init__(message)
        self.module = "" if op is None else op.module
        self.site = "" if op is None else op.site


@dataclass(frozen=True)
class ScopePass:
    """One pass of one run through a scope.

    sizes: variables that are bound there. calls: moe site → how its experts were called in that
    run. instance: the pass through a guard's body; None for what stands behind no guard.
    """

    scope: RunScope
    sizes: dict[str, int]
    calls: dict[str, ExpertsCall]
    instance: Instance | None = None

    @property
    def choice(self) -> int:
        """The branch of the guard; -1 for none."""
        return -1 if self.instance is None else self.instance.choice


SamplesKey = tuple[tuple[tuple[str, int], ...], ...]


@dataclass
class KnownForms:
    """Forms that were fitted before, by the values and the variables: streams repeat themselves."""

    forms: dict[tuple[tuple[int, ...], SamplesKey], Dim | None] = field(default_factory=dict)

    def fit(self, values: tuple[int, ...], samples: list[Sizes], key: SamplesKey) -> Dim | None:
        """`fit_dim` of the values. key: of `samples`."""
        if (values, key) not in self.forms:
            self.forms[values, key] = fit_dim(values, samples) or _share(values, samples)
        return self.forms[values, key]


def _share(values: tuple[int, ...], samples: Sequence[Sizes]) -> Dim | None:
    """A share of an extent as a size; None where none gives every value."""
    found = fit_share(values, samples)
    if found is None:
        return None
    coefficient, share = found
    return Dim.product(coefficient, share.name)


class OperatorFit:
    """Fits one operator.

    column: the operator as each pass called it. After `fitted`, `exact` says whether a form gave
    every size.
    """

    def __init__(
        self, column: list[RecordedOp], passes: Sequence[ScopePass], known: KnownForms
    ) -> None:
        self.column = column
        self.choices = [one.choice for one in passes]
        self.known = known
        self.exact = True
        self._require_alike()
        self.samples = _samples(column[0].site, passes)
        self.samples_key = _key(self.samples)

    def _require_alike(self) -> None:
        """Raises Misfit where the passes called different operators."""
        first = self.column[0]
        kinds = {_kind(op) for op in self.column}
        if len(kinds) == 1 and self._same_weights():
            return
        names = sorted({op.name for op in self.column})
        raise different_operators(first, names)

    def _same_weights(self) -> bool:
        """Whether every operand is the same weight in all passes, or that of the choice."""
        weights = []
        for op in self.column:
            operands = (*op.inputs, *op.outputs)
            weights.append([operand.weight for operand in operands])
        for names in zip(*weights, strict=True):
            if common_name(names, self.choices) is None:
                return False
        return True

    def fitted(self) -> Op:
        """The operator of the program."""
        column = self.column
        first = column[0]
        outputs = self._tensors([op.outputs for op in column])
        modules = [op.module for op in column]
        return Op(
            name=first.name,
            inputs=self._tensors([op.inputs for op in column]),
            outputs=outputs,
            params=max(op.params for op in column),
            role=min((op.role for op in column), key=len),
            site=first.site,
            module=common_name(modules, self.choices) or first.module,
            entered=max(op.entered for op in column),
            instructions=min(op.instructions for op in column),
            view=first.view,
            sync=first.sync,
            allocs=self._storages(outputs),
        )

    def _tensors(self, operands: list[list[RecordedTensor]]) -> tuple[Tensor, ...]:
        """operands: of each pass, all inputs or all outputs."""
        tensors = []
        for operand in zip(*operands, strict=True):
            sizes = zip(*(t.shape for t in operand), strict=True)
            dims = tuple(self._size(values) for values in sizes)
            weight = common_name([t.weight for t in operand], self.choices) or ""
            tensors.append(Tensor(dims, operand[0].dtype, weight))
        return tuple(tensors)

    def _storages(self, outputs: tuple[Tensor, ...]) -> tuple[tuple[Dim | Product, str], ...]:
        """What the operator allocates: (elements, dtype) of each storage."""
        storages = []
        for storage in zip(*(op.allocs for op in self.column), strict=True):
            sizes = tuple(size for size, _ in storage)
            _, dtype = storage[0]
            storages.append((self._storage(sizes, outputs), dtype))
        return tuple(storages)

    def _storage(self, sizes: tuple[int, ...], outputs: tuple[Tensor, ...]) -> Dim | Product:
        """A form; a product of an output's sizes where no single form fits: n * (n + 1)."""
        if self._form(sizes) is None:
            for number, output in enumerate(outputs):
                shapes = [op.outputs[number].shape for op in self.column]
                if sizes == tuple(elements(shape) for shape in shapes):
                    return Product(output.dims)
        return self._size(sizes)

    def _size(self, values: tuple[int, ...]) -> Dim:
        """A form; the value in the last pass where none fits, and then the fit is not exact."""
        form = self._form(values)
        if form is None:
            self.exact = False
            return Dim(values[-1])
        return form

    def _form(self, values: tuple[int, ...]) -> Dim | None:
        return self.known.fit(values, self.samples, self.samples_key)


def different_operators(first: RecordedOp, names: list[str]) -> Misfit:
    """The error where passes have different operators in one place."""
    where = first.module or "the model"
    return Misfit(f"operator {first.name!r} in {where} differs between runs: {names}", first)


def _key(samples: list[Sizes]) -> SamplesKey:
    """The same for equal variables."""
    return tuple(tuple(sorted(sample.items())) for sample in samples)


def _samples(site: str, passes: Sequence[ScopePass]) -> list[Sizes]:
    """The variables of each pass. site: whose experts' call the operator belongs to, or ""."""
    if not site:
        return [one.sizes for one in passes]
    samples: list[Sizes] = []
    for one in passes:
        call = one.calls[site]
        hits = sum(tokens > 0 for tokens in call.tokens_per_expert)
        samples.append({**one.sizes, "hits": hits, "capacity": call.capacity})
    return samples


DIGITS = "0123456789"


def common_name(names: Sequence[str], choices: Sequence[int]) -> str | None:
    """What dotted names have in common; None for nothing.

    That is the name where all are equal. Where one part of every name is the number of its choice,
    or ends in it as "expert_3" does, it is the name with "*" in place of that number.
    """
    if len(set(names)) == 1:
        return names[0]
    split = [name.split(".") for name in names]
    for position in reversed(range(len(split[0]))):
        patterns = set()
        for parts, choice in zip(split, choices, strict=True):
            patterns.add(_with_star(parts, position, choice))
        if len(patterns) == 1:
            pattern = patterns.pop()
            if pattern is not None:
                return pattern
    return None


def _with_star(parts: list[str], position: int, choice: int) -> str | None:
    """The name with "*" for the number at the end of a part; None where it is not the choice."""
    if position >= len(parts):
        return None
    words = parts[position].rstrip(DIGITS)
    if parts[position] != f"{words}{choice}":
        return None
    pattern = [*parts]
    pattern[position] = f"{words}*"
    return ".".join(pattern)


def _kind(op: RecordedOp) -> tuple[object, ...]:
    """What must be equal in all passes. How elementwise operands lie may depend on their sizes."""
    params = () if strides_recorded(op.name) else op.params
    inputs = _dims_and_dtypes(op.inputs)
    outputs = _dims_and_dtypes(op.outputs)
    return (op.name, inputs, outputs, params, op.site, op.view, op.sync, len(op.allocs))


def _dims_and_dtypes(operands: list[RecordedTensor]) -> tuple[tuple[int, str], ...]:
    return tuple((len(operand.shape), operand.dtype) for operand in operands)
