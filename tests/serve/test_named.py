"""A model by name as it is served: mixtures and dense decoders, and nothing else."""

from __future__ import annotations

import pytest

from condsim.catalogue import CATALOGUE
from condsim.errors import CondsimError
from condsim.serve.named import served_model


@pytest.mark.parametrize("name", ["tome-vit-l16", "prosparse-llama-2-7b", "vit-b16"])
def test_what_no_requests_are_of_is_refused(name: str) -> None:
    with pytest.raises(CondsimError, match=f"{name}' cannot be served here"):
        served_model(CATALOGUE[name])
