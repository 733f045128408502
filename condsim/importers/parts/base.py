"""What an importer is: it knows a layout of recorded routing when it sees it, and reads it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from condsim import checks
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import Spool
from condsim.registry import Registry
from condsim.trace import Trace
from condsim.untrusted import parsing


@dataclass(frozen=True)
class ModelShape:
    """What a file of routing may leave unsaid of its model; None: take it from the file.

    layers: that the files hold, also those without experts. experts: of a layer, without shared
    ones. top_k: experts a token.
    """

    layers: int | None = None
    experts: int | None = None
    top_k: int | None = None

    @classmethod
    def of(cls, trace: Trace) -> ModelShape:
        """The shape of a model that was captured; None where its layers differ.

        Files may have more layers than the trace has: those without experts.
        """
        sites = [site for site in trace.sites if site.routing.mixes_experts]
        experts = _the_one({site.branches for site in sites})
        top_k = _the_one({site.top_k for site in sites})
        return cls(experts=experts, top_k=top_k)

    def filled(self, other: ModelShape) -> ModelShape:
        """This shape; what it leaves unsaid is as `other` says."""
        return ModelShape(
            self.layers or other.layers, self.experts or other.experts, self.top_k or other.top_k
        )

    def __post_init__(self) -> None:
        for name in ("layers", "experts", "top_k"):
            value = getattr(self, name)
            if value is not None:
                checks.whole(name, value)


def _the_one(values: Collection[int | None]) -> int | None:
    """The value, where there is just one."""
    return next(iter(values)) if len(values) == 1 else None


WAY_OUT = "copy it again, or name its layout with --format (format=)"


class Importer(ABC):
    """Reads one layout.

    name: as users spell it. title: who writes such files, and what is in them.
    by_shape: it takes any arrays of its shape, so that importers which know names are asked first.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    by_shape: ClassVar[bool] = False

    @abstractmethod
    def recognises(self, file: Peek) -> bool:
        """Whether a file has this layout, by its first bytes."""

    def read(self, files: Sequence[Path], shape: ModelShape, spool: Spool) -> None:
        """Put the decisions of all files into the spool, and the steps that they were made in.

        Raises CondsimError for a file that is damaged or has another layout, naming it.
        """
        for path in files:
            spool.begin_file(path.name)
            with parsing(path, WAY_OUT):
                self.read_file(path, shape, spool)
            spool.check_even()

    @abstractmethod
    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        """Put the decisions of one file into the spool."""


IMPORTERS: Registry[Importer] = Registry("format")

Class = TypeVar("Class", bound=type[Importer])


def importer(cls: Class) -> Class:
    """Decorator: register an object of an importer's class under its name."""
    IMPORTERS.register(cls.name)(cls())
    return cls
