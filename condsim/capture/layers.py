"""Layers that are alike: a deep model is recorded with few of them, and they are repeated.

A layer's surroundings are its own kind and those of its neighbours. Of a list of layers, as few
are kept as have all surroundings that there are, each among the neighbours that it has in the
whole. Then every layer of the whole is one that was recorded, under another name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

Kind = Hashable
Surroundings = tuple[Kind, Kind, Kind]
"""The kinds of the layer before, of the layer, and of the layer after it; None at the ends."""

NUMBERED = ("idx", "index", "layer_id", "layer_number")
"""Parts of the names of attributes that only tell layers apart."""
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class LayerList:
    """A list of layers in a model.

    name: its path. kept: numbers of the layers that are recorded, in order.
    recorded_as: for every layer, which of the kept ones it is like.
    """

    name: str
    kept: tuple[int, ...]
    recorded_as: tuple[int, ...]

    @property
    def shortened(self) -> bool:
        """Whether some layers are not recorded."""
        return len(self.kept) < len(self.recorded_as)

    def prefix(self, layer: int) -> str:
        """The path of a layer."""
        return f"{self.name}.{layer}"


def layer_lists(model: nn.Module) -> list[LayerList]:
    """The outermost lists of modules of a model that have alike layers to leave out."""
    found: list[LayerList] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer.name}.") for outer in found)
        if isinstance(module, nn.ModuleList) and not inside:
            found.append(_layer_list(name, [kind_of(layer) for layer in module]))
    return [one for one in found if one.shortened]


@contextlib.contextmanager
def shortened(model: nn.Module, lists: Sequence[LayerList]) -> Iterator[None]:
    """While it lasts, the model has only the layers that are kept."""
    with contextlib.ExitStack() as stack:
        for one in lists:
            stack.enter_context(_replaced(model, one))
        yield


@contextlib.contextmanager
def _replaced(model: nn.Module, one: LayerList) -> Iterator[None]:
    parent = model.get_submodule(one.name.rpartition(".")[0])
    attribute = one.name.rpartition(".")[2]
    whole = parent.get_submodule(attribute)
    assert isinstance(whole, nn.ModuleList)
    setattr(parent, attribute, nn.ModuleList([whole[number] for number in one.kept]))
    try:
        yield
    finally:
        setattr(parent, attribute, whole)


def kind_of(layer: nn.Module) -> Kind:
    """What tells layers apart: classes, plain attributes and sizes, without their numbers."""
    parts = []
    for name, module in layer.named_modules():
        plain = []
        for attribute, value in sorted(vars(module).items()):
            if isinstance(value, PLAIN) and not any(part in attribute for part in NUMBERED):
                plain.append((attribute, value))
        own = module.named_parameters(recurse=False)
        sizes = tuple((tensor, tuple(value.shape), value.dtype) for tensor, value in own)
        parts.append((name, type(module), tuple(plain), sizes))
    return tuple(parts)


def _layer_list(name: str, kinds: Sequence[Kind]) -> LayerList:
    surroundings = _surroundings(kinds)
    kept = _fewest(surroundings)
    place: dict[Surroundings, int] = {}
    for position, layer in enumerate(kept):
        place.setdefault(surroundings[layer], position)
    recorded_as = tuple(place[around] for around in surroundings)
    return LayerList(name, kept, recorded_as)


def _surroundings(kinds: Sequence[Kind]) -> list[Surroundings]:
    padded = [None, *kinds, None]
    return [(padded[i], padded[i + 1], padded[i + 2]) for i in range(len(kinds))]


def _fewest(surroundings: Sequence[Surroundings]) -> tuple[int, ...]:
    """Numbers of layers that have all surroundings.

    What stands between two layers of the same surroundings is left out, with the second of them:
    so the first one keeps its neighbours.
    """
    kept = list(range(len(surroundings)))
    wanted = set(surroundings)
    cut = True
    while cut:
        cut = False
        for start, stop in _widest_first(len(kept)):
            rest = kept[: start + 1] + kept[stop + 1 :]
            same = surroundings[kept[start]] == surroundings[kept[stop]]
            if same and {surroundings[layer] for layer in rest} == wanted:
                kept, cut = rest, True
                break
    return tuple(kept)


def _widest_first(length: int) -> Iterator[tuple[int, int]]:
    """Pairs of places in a list, those that are furthest apart first."""
    for width in range(length - 1, 0, -1):
        for start in range(length - width):
            yield start, start + width
