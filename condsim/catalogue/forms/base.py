"""What a class of models says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from condsim.registry import Registry

if TYPE_CHECKING:
    import torch

    from condsim.catalogue.parts.base import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.trace import Trace


class Form(ABC):
    """A class of models.

    name: as models of the catalogue spell it. images: units are images, which have no positions
    and no decode steps. served: serving engines run such models; else the device's own runtime is
    taken. code: files that its models are built by, below the package's folder.
    """

    name: ClassVar[str]
    images: ClassVar[bool] = False
    served: ClassVar[bool] = True
    code: ClassVar[tuple[str, ...]] = ()

    def check(  # noqa: B027 (most classes can be asked anything)
        self, model: CatalogueModel, question: Question
    ) -> None:
        """Raises CondsimError for a question that these models cannot be asked."""

    @abstractmethod
    def build(self, model: CatalogueModel) -> torch.nn.Module:
        """Return the model in evaluation mode; called where tensors are made on the meta device."""

    @abstractmethod
    def inputs(self, model: CatalogueModel) -> dict[str, Any]:
        """Return arguments of forward() that probing runs are cut from."""

    @abstractmethod
    def decided(self, model: CatalogueModel, programs: Trace, question: Question) -> Trace:
        """Return the trace that executes the programs, with decisions for a question.

        programs: of the model, without decisions.
        """


FORMS: Registry[Form] = Registry("class of models")

Class = TypeVar("Class", bound=type[Form])


def form(cls: Class) -> Class:
    """Decorator: register an object of a class under its name."""
    FORMS.register(cls.name)(cls())
    return cls
