"""The share of a model that one of several ranks has under tensor parallelism, by configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from condsim.catalogue.parts.base import CatalogueModel
from condsim.errors import CondsimError

DECODER = "decoder"
"""The class of models that can be cut by configuration."""
WIDTHS = ("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size")
"""Of feed-forwards and of experts, which ranks share."""


def share_of(model: CatalogueModel, ranks: int) -> CatalogueModel:
    """Return what one rank has: so many times fewer heads, narrower widths and fewer words.

    Heads of keys that are fewer than the ranks are on several of them. A model that has a share
    already has none of its own. Raises CondsimError for heads or widths that do not divide.
    """
    if ranks == 1:
        return model
    if model.form != DECODER:
        raise CondsimError(
            f"parallel: tensor={ranks}: {model.name} is no decoder whose configuration says how "
            "ranks share it; simulate it on one device"
        )
    config = dict(model.config)
    config |= _heads(model, ranks)
    for name in WIDTHS:
        if name in config:
            config[name] = _part(model, name, ranks)
    config["vocab_size"] = -(-config["vocab_size"] // ranks)
    return replace(model, config=config, tensor=ranks)


def _heads(model: CatalogueModel, ranks: int) -> dict[str, Any]:
    config = model.config
    heads = config["num_attention_heads"]
    shared = config.get("num_key_value_heads", heads)
    if shared % ranks and ranks % shared:
        raise _indivisible(model, "num_key_value_heads", shared, ranks)
    cut = {
        "num_attention_heads": _part(model, "num_attention_heads", ranks),
        "num_key_value_heads": max(1, shared // ranks),
    }
    if "head_dim" not in config and not model.model_type.startswith("deepseek"):
        cut["head_dim"] = config["hidden_size"] // heads
    return cut


def _part(model: CatalogueModel, name: str, ranks: int) -> int:
    whole: int = model.config[name]
    if whole % ranks:
        raise _indivisible(model, name, whole, ranks)
    return whole // ranks


def _indivisible(model: CatalogueModel, name: str, whole: int, ranks: int) -> CondsimError:
    return CondsimError(
        f"parallel: tensor={ranks} does not divide the {whole} of {model.name}'s {name}"
    )
