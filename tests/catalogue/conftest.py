"""What tests of the catalogue share: a folder in which programs are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_models import DENSE, MIXTURE

from condsim.catalogue import CATALOGUE, CatalogueModel


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Programs are kept in a folder of the test."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setitem(CATALOGUE._entries, DENSE.name, DENSE)
        yield folder


@pytest.fixture(scope="module")
def mixture(cache: Path) -> CatalogueModel:
    return MIXTURE
