"""A program of few layers → the program of all of them (`condsim.capture.layers`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from condsim.capture.layers import LayerList
from condsim.errors import CondsimError
from condsim.program import Free, Loop, Op, Program, Scope, Tensor

Node = Op | Loop
Rename = Callable[[str], str]


class Unlike(CondsimError):
    """Layers that cannot be repeated, because something lives longer than to the next layer."""


def repeated(program: Program, lists: list[LayerList]) -> Program:
    """Return the program with every layer in its place.

    Raises Unlike where a storage of one layer dies beyond the layer after it.
    """
    for one in lists:
        program = _Repeater(program, one).program()
    return program


def renamed(name: str, old: str, new: str) -> str:
    """Return a path with another beginning: of the module `old`, or of what is in it."""
    if name == old or name.startswith(f"{old}."):
        return new + name[len(old) :]
    return name


@dataclass(frozen=True)
class _Block:
    """Nodes of the whole program.

    begins: of the old program's nodes [begins, ends), which it is made of. starts: in the new one.
    recorded, layer: numbers of the layer, -1 for what stands before and after all layers.
    """

    begins: int
    ends: int
    starts: int
    recorded: int = -1
    layer: int = -1

    def holds(self, node: int) -> bool:
        return self.begins <= node < self.ends

    def place(self, node: int) -> int:
        """The new number of one of its nodes."""
        return node - self.begins + self.starts


class _Repeater:
    """Repeats the layers of one list in one program."""

    def __init__(self, program: Program, layers: LayerList) -> None:
        self.old = program
        self.layers = layers
        self.nodes = program.root.nodes
        self.blocks = self._blocks()
        self.of_layer = {block.layer: block for block in self.blocks if block.layer >= 0}

    def program(self) -> Program:
        """The program of all layers."""
        nodes: list[Node] = []
        frees: list[Free] = []
        for block in self.blocks:
            rename = self._renamer(block)
            nodes += [self._node(node, block, rename) for node in self._of(block)]
            frees += self._frees(block)
        names = repeated_names(self.old.periods, [self.layers])
        periods = {name: self.old.periods[recorded_as] for name, recorded_as in names}
        return replace(self.old, root=Scope(tuple(nodes), tuple(frees)), periods=periods)

    # Where layers stand

    def _blocks(self) -> list[_Block]:
        """What stands before all layers, every layer, and what stands after them."""
        first, last = self._borders()
        if not first:
            return [_Block(0, len(self.nodes), 0)]
        starts = first[0]
        blocks = [_Block(0, starts, 0)]
        for layer, recorded in enumerate(self.layers.recorded_as):
            begins = first[recorded]
            ends = last if recorded + 1 == len(first) else first[recorded + 1]
            blocks.append(_Block(begins, ends, starts, recorded, layer))
            starts += ends - begins
        blocks.append(_Block(last, len(self.nodes), starts))
        return blocks

    def _borders(self) -> tuple[list[int], int]:
        """(first node of each recorded layer, the node after the last layer)."""
        first: dict[int, int] = {}
        last = 0
        for position, node in enumerate(self.nodes):
            layer = self._layer(node)
            if layer >= 0:
                first.setdefault(layer, position)
                last = position + 1
        borders = list(first.values())
        if borders and (list(first) != list(range(len(self.layers.kept)))):
            raise Unlike(f"the layers of {self.layers.name} do not run one after the other")
        return borders, last

    def _layer(self, node: Node) -> int:
        """The recorded layer that a node is of, -1 for none."""
        path = node.site if isinstance(node, Loop) else node.module
        beginning = f"{self.layers.name}."
        if not path.startswith(beginning):
            return -1
        return int(path[len(beginning) :].partition(".")[0])

    def _of(self, block: _Block) -> tuple[Node, ...]:
        return self.nodes[block.begins : block.ends]

    # Names

    def _renamer(self, block: _Block) -> Rename:
        if block.recorded == block.layer:
            return lambda name: name
        old, new = self.layers.prefix(block.recorded), self.layers.prefix(block.layer)
        known: dict[str, str] = {}

        def rename(name: str) -> str:
            if name not in known:
                known[name] = renamed(name, old, new)
            return known[name]

        return rename

    def _node(self, node: Node, block: _Block, rename: Rename) -> Node:
        if isinstance(node, Op):
            return _renamed_op(node, rename)
        bodies = {}
        for key, body in node.bodies.items():
            nodes = tuple(self._node(inner, block, rename) for inner in body.nodes)
            frees = []
            for free in body.frees:
                owner = self._owners(free, block)[0]
                frees.append(self._moved(free, block, owner))
            bodies[key] = Scope(nodes, tuple(frees))
        return Loop(rename(node.site), node.choices, bodies)

    # Deaths of storages

    def _frees(self, block: _Block) -> list[Free]:
        """The deaths of a block, in order."""
        found = []
        for free in self.old.root.frees:
            before_all = free.position == -1 and block is self.blocks[0]
            if not before_all and not block.holds(free.position):
                continue
            for owner in self._owners(free, block):
                moved = self._moved(free, block, owner)
                position = free.position if before_all else block.place(free.position)
                found.append(replace(moved, position=position))
        return found

    def _owners(self, free: Free, block: _Block) -> list[_Block]:
        """The blocks whose storage dies in a block: its own, the one before it, or what stands
        before all layers; after the layers, every layer may have one."""
        node = _root_node(free)
        first, last = self.blocks[0], self.blocks[-1]
        if block.holds(node):
            return [block]
        if block is last:
            return [one for one in self.blocks if one.holds(node)]
        if first.holds(node) and self.layers.recorded_as.count(block.recorded) == 1:
            return [first]
        before = self.of_layer.get(block.layer - 1)
        if before is None or not self._holds_alike(before, node, block):
            raise Unlike(f"layers of {self.layers.name} keep a tensor for more than a layer")
        return [before]

    def _holds_alike(self, before: _Block, node: int, block: _Block) -> bool:
        """Whether a node of the recorded layer before has the same place in the layer before."""
        recorded_before = self._recorded_as(block.recorded - 1)
        if recorded_before is None or not recorded_before.holds(node):
            return False
        ours, theirs = self._of(before), self._of(recorded_before)
        return [_name(one) for one in ours] == [_name(one) for one in theirs]

    def _recorded_as(self, recorded: int) -> _Block | None:
        """The first layer that was recorded under a number; None where there is none."""
        for block in self.blocks:
            if block.recorded == recorded and block.layer >= 0:
                return block
        return None

    def _moved(self, free: Free, block: _Block, owner: _Block) -> Free:
        """A death whose storage is of `owner`."""
        node = _root_node(free)
        offset = node - owner.begins
        if not owner.holds(node):  # the layer before, recorded elsewhere
            begins = self._begins(block.recorded - 1)
            offset = node - begins
        place = owner.starts + offset
        if not free.path:
            return replace(free, op=place)
        (_, choice, outer, rows), *inner = free.path
        return replace(free, path=((place, choice, outer, rows), *inner))

    def _begins(self, recorded: int) -> int:
        return next(block.begins for block in self.blocks if block.recorded == recorded)


def _root_node(free: Free) -> int:
    """The node of the root that a death's storage is from, or is in."""
    return free.path[0][0] if free.path else free.op


def _name(node: Node) -> str:
    return node.name if isinstance(node, Op) else f"[{len(node.bodies)}]"


def _renamed_op(op: Op, rename: Rename) -> Op:
    role, separator, site = op.role.partition(":")
    renamed_role = f"{role}:{rename(site)}" if separator else op.role
    return replace(
        op,
        inputs=_renamed_tensors(op.inputs, rename),
        outputs=_renamed_tensors(op.outputs, rename),
        role=renamed_role,
        site=rename(op.site),
        module=rename(op.module),
    )


def _renamed_tensors(tensors: tuple[Tensor, ...], rename: Rename) -> tuple[Tensor, ...]:
    if not any(tensor.weight for tensor in tensors):
        return tensors
    return tuple(replace(tensor, weight=rename(tensor.weight)) for tensor in tensors)


def repeated_names(names: Mapping[str, object], lists: list[LayerList]) -> list[tuple[str, str]]:
    """Return (name of every layer's site, name that it was recorded under), in layer order."""
    pairs = [(name, name) for name in names]
    for one in lists:
        pairs = _repeated_pairs(pairs, one)
    return pairs


def _repeated_pairs(pairs: list[tuple[str, str]], one: LayerList) -> list[tuple[str, str]]:
    beginning = f"{one.name}."
    inside = [pair for pair in pairs if pair[0].startswith(beginning)]
    outside = [pair for pair in pairs if not pair[0].startswith(beginning)]
    repeated_pairs = []
    for layer, recorded in enumerate(one.recorded_as):
        old, new = one.prefix(recorded), one.prefix(layer)
        for name, recorded_name in inside:
            if name.startswith(f"{old}."):
                repeated_pairs.append((renamed(name, old, new), recorded_name))
    return repeated_pairs + outside
