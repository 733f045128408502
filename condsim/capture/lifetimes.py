"""When the storages of a program die, from the deaths that the recorded runs saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from condsim.program import Free, Loop, Op, Scope
from condsim.program.stages import in_forward
from condsim.record.events import Died, RecordedOp
from condsim.record.nest import Instance, RunScope, guarded

Path = tuple[tuple[int, int, int, int], ...]
"""A scope of a program: loops from the root, each (node, choice, outer regime, rows regime)."""

Location = tuple[Path, int]
"""A node of a program: its scope, its number in it."""

Storage = tuple[Location, int]
"""What an operator allocates: where the operator stands, which of its allocations."""

Point = tuple[Path, int]
"""A place between operators: a scope, and the node after which it is (-1: its start)."""

Frees = dict[Path, dict[Free, None]]
"""Deaths in each scope, in the order in which they were seen."""


@dataclass
class Seen:
    """What one run saw, in the order in which it saw it.

    died: when a storage died. reached: when a point was come to. now: how much it has seen.
    """

    died: dict[Storage, int] = field(default_factory=dict)
    reached: dict[Point, int] = field(default_factory=dict)
    now: int = 0

    def was_gone(self, point: Point, storage: Storage) -> bool:
        """Whether a storage was dead when a point was come to."""
        if storage not in self.died or point not in self.reached:
            return False
        return self.died[storage] < self.reached[point]


@dataclass
class Lifetimes:
    """Where each recorded operator stands in the program, and the deaths of what it allocated.

    frees: deaths that some run saw. survived: storages that a run saw alive after a point at which
    something died. repeated: storages of which some run had more than one. runs: what each saw.
    """

    location: dict[RecordedOp, Location] = field(default_factory=dict)
    instance: dict[RecordedOp, Instance | None] = field(default_factory=dict)
    frees: Frees = field(default_factory=dict)
    survived: set[tuple[Point, Storage]] = field(default_factory=set)
    repeated: set[Storage] = field(default_factory=set)
    runs: list[Seen] = field(default_factory=list)

    def put(self, op: RecordedOp, location: Location, instance: Instance | None) -> None:
        """Note where an operator stands. instance: the pass through a guard in which it ran."""
        self.location[op] = location
        self.instance[op] = instance

    def with_frees(self, root: Scope, scopes: Sequence[RunScope]) -> Scope:
        """The program's scopes with the deaths of their storages. scopes: of the recorded runs.

        Also deaths that follow for combinations of guards that no run had.
        """
        for scope in scopes:
            self.runs.append(Seen())
            self._see(scope, (), (), set())
            self._note_repeated(scope)
        stages = scopes[0].stages
        for path, frees in implied(self.frees, self.survived).items():
            plays_back = bool(stages) and not in_forward(stages, path[0][0])
            for free in frees:
                if not (plays_back and self._was_gone(free, path)):
                    self.frees[path][free] = None
        return self._attached(root, ())

    def _was_gone(self, free: Free, path: Path) -> bool:
        """Whether some run saw a storage dead when it came to a point.

        What the forward did not save for a branch cannot die where the branch is played back.
        """
        storage = ((free.path, free.op), free.alloc)
        if storage in self.repeated:
            return False
        return any(run.was_gone((path, free.position), storage) for run in self.runs)

    def _note_repeated(self, scope: RunScope) -> None:
        """Note the storages of which a run has more than one."""
        born: set[Location] = set()
        for op, _ in guarded(scope):
            location = self.location.get(op)
            if location in born:
                self.repeated |= {(location, alloc) for alloc in range(len(op.allocs))}
            elif location is not None:
                born.add(location)

    def _see(
        self,
        scope: RunScope,
        path: Path | None,
        inside: tuple[Instance, ...],
        alive: set[tuple[RecordedOp, int]],
    ) -> None:
        """Collect the deaths in a scope of one run.

        path: the scope of the program, None where no operator tells it. inside: passes that the
        scope stands in. alive: allocations that live, kept up to date.
        """
        deaths: dict[int, list[Died]] = {}
        for position, died in scope.frees:
            deaths.setdefault(position, []).append(died)
        for position in range(-1, len(scope.nodes)):
            if position >= 0:
                node = scope.nodes[position]
                if isinstance(node, RecordedOp):
                    alive |= {(node, number) for number in range(len(node.allocs))}
                else:
                    self._see_passes(node.instances, inside, alive)
            dying = deaths.get(position, [])
            for died in dying:
                alive.discard((died.op, died.alloc))
                self._keep_death(died, path, position, inside)
            if path is not None:
                self._keep_moment((path, position), dying)
            if path is not None and dying:
                self._keep_survivors((path, position), alive)

    def _see_passes(
        self,
        instances: Iterable[Instance],
        inside: tuple[Instance, ...],
        alive: set[tuple[RecordedOp, int]],
    ) -> None:
        for instance in instances:
            path = self._path_of(instance.scope)
            self._see(instance.scope, path, (*inside, instance), alive)

    def _path_of(self, scope: RunScope) -> Path | None:
        """The program's scope for a recorded one, by its first operator; None without any."""
        for node in scope.nodes:
            if isinstance(node, RecordedOp):
                location = self.location.get(node)
                return None if location is None else location[0]
        return None

    def _keep_death(
        self, died: Died, path: Path | None, position: int, inside: tuple[Instance, ...]
    ) -> None:
        location = self.location.get(died.op)
        if location is None or path is None:
            return
        op_path, op = location
        owner = self.instance[died.op]
        another_pass = owner is not None and owner not in inside
        previous = another_pass and len(op_path) <= len(path)
        free = Free(position, op_path, op, died.alloc, previous)
        self.frees.setdefault(path, {})[free] = None

    def _keep_survivors(self, point: Point, alive: set[tuple[RecordedOp, int]]) -> None:
        for op, alloc in alive:
            location = self.location.get(op)
            if location is not None:
                self.survived.add((point, (location, alloc)))

    def _keep_moment(self, point: Point, dying: Sequence[Died]) -> None:
        """Note when a run came to a point, and what died there."""
        run = self.runs[-1]
        run.now += 1
        run.reached[point] = run.now
        for died in dying:
            location = self.location.get(died.op)
            if location is not None:
                run.died[location, died.alloc] = run.now

    def _attached(self, scope: Scope, path: Path) -> Scope:
        nodes: list[Op | Loop] = []
        for position, node in enumerate(scope.nodes):
            if isinstance(node, Loop):
                bodies = {}
                for body_key, body in node.bodies.items():
                    inner_path = (*path, (position, *body_key))
                    bodies[body_key] = self._attached(body, inner_path)
                nodes.append(Loop(node.site, node.choices, bodies))
            else:
                nodes.append(node)
        frees = [self._known(free, path) for free in self.frees.get(path, {})]
        frees.sort(key=_position)
        return Scope(tuple(nodes), tuple(frees))

    def _known(self, free: Free, path: Path) -> Free:
        """A death with what runs say of it where they disagree. path: the scope that it is in."""
        storage = ((free.path, free.op), free.alloc)
        seen_alive = ((path, free.position), storage) in self.survived
        if not seen_alive or storage in self.repeated:
            return free
        return replace(free, outlived=True)


def _position(free: Free) -> int:
    return free.position


def implied(frees: Frees, survived: set[tuple[Point, Storage]]) -> Frees:
    """Deaths that no run had because its guards never met so.

    Two storages that died at the same point hold the same variable at different times: where one
    dies, the other would, unless a run saw it survive.
    """
    dead_at: dict[Point, list[Storage]] = {}
    deaths_of: dict[Storage, list[Point]] = {}
    for path, deaths in frees.items():
        for free in deaths:
            storage = ((free.path, free.op), free.alloc)
            point = (path, free.position)
            dead_at.setdefault(point, []).append(storage)
            deaths_of.setdefault(storage, []).append(point)
    result: Frees = {}
    for storage, points in deaths_of.items():
        siblings = {other for point in points for other in dead_at[point]} - {storage}
        elsewhere = {point for other in siblings for point in deaths_of[other]}
        for path, position in elsewhere - set(points):
            if path and ((path, position), storage) not in survived:
                (op_path, op), alloc = storage
                free = Free(position, op_path, op, alloc)
                result.setdefault(path, {})[free] = None
    return result
