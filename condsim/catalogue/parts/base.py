"""What the catalogue knows of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from condsim.catalogue.forms import FORMS
from condsim.errors import CondsimError
from condsim.registry import Registry

CATALOGUE: Registry[CatalogueModel] = Registry("model")


@dataclass(frozen=True)
class CatalogueModel:
    """A published model.

    name: as the command line takes it. title: as its authors write it.
    model_type, config: the class of transformers, and its configuration; what is not named has the
        class's default.
    parameters: of the whole model, as published.
    source: where the configuration is from. licence: of the weights.
    routing: whose published statistics its routing is drawn from, or where else it is from what it
        decides; "" for a dense model.
    rivals: dense models that it is fairly compared with → why.
    tensor: ranks of which this is one's share (`condsim.catalogue.parts.tensor`).
    form: its class (`condsim.catalogue.forms`), which says what `config` means; model_type is of
        transformers' classes only.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    parameters: float
    source: str
    licence: str
    model_type: str = ""
    routing: str = ""
    rivals: Mapping[str, str] = field(default_factory=dict)
    tensor: int = 1
    form: str = "decoder"

    @property
    def conditional(self) -> bool:
        """Whether it decides what runs."""
        return bool(self.routing)

    @property
    def images(self) -> bool:
        """Whether its units are images, which have no positions and no decode steps."""
        return FORMS[self.form].images

    def require_conditional(self) -> None:
        """Raises CondsimError for a dense model, which decides nothing."""
        if not self.conditional:
            raise CondsimError(
                f"model {self.name!r} is dense: it decides nothing; name a conditional model "
                "(condsim models lists them with their dense rivals)"
            )


def model(**fields: Any) -> CatalogueModel:
    """Enter a model. fields: of `CatalogueModel`. Raises ValueError for a name that is taken."""
    entry = CatalogueModel(**fields)
    return CATALOGUE.register(entry.name)(entry)
