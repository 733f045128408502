"""A small random model of a type: its own configuration class, sizes made small by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
)

LAYERS = 2
SIZES: tuple[tuple[str, int], ...] = (
    (r"vocab_size|vocab_size_per_layer_input", 128),
    (r"(num_)?(hidden_layers|encoder_layers|decoder_layers|layers|decoder_hidden_layers)", LAYERS),
    (r"n_layers?|num_sparse_(en|de)coder_layers", LAYERS),
    (r"(en|de)coder_sparse_step|expert_layer_period", 2),
    (r"attn_layer_period", 2),
    (r"attn_layer_offset|expert_layer_offset", 1),
    (r"first_k_dense_replace|num_dense_layers|moe_layer_start_index|n_dense_layers", 1),
    (r"hidden_size|d_model|n_embd|dim|d_kv_model|router_hidden_size|embed_dim", 32),
    (r"d_kv|head_dim|global_head_dim|v_head_dim|qk_nope_head_dim|swa_head_dim|swa_v_head_dim", 8),
    (r"qk_rope_head_dim|index_head_dim", 8),
    (r"qk_head_dim", 16),
    (r"(q|kv|o)_lora_rank|hidden_size_per_layer_input", 16),
    (r".*(moe|expert|shared).*(intermediate|ffn).*", 16),
    (r".*intermediate_size|d_ff|ffn_hidden_size|(en|de)coder_ffn_dim|ffn_dim|zero_expert_num", 48),
    (r"(num_)?(attention_heads|heads)|n_heads?|(en|de)coder_attention_heads", 4),
    (r"(num_)?(key_value_heads|global_key_value_heads)|n_kv_heads?|swa_num_key_value_heads", 2),
    (r"swa_num_attention_heads|index_n_heads", 4),
    (r"(moe_)?num_(local_|routed_)?experts|n_routed_experts|moe_n(um)?_experts|n_experts", 8),
    (r"(moe_)?num_experts_per_to(k|ken)|moe_k|moe_top_?k|top_k|top_k_experts|moe_topk", 2),
    (r"n_groups?|topk_group|num_expert_groups?|n_expert_groups?|moe_router_n_groups", 1),
    (r"linear_num_key_heads|linear_num_value_heads|mamba_num_heads|mamba_n_heads", 4),
    (r"linear_(key|value)_head_dim|mamba_head_dim|mamba_d_state|ssm_state_size", 8),
    (r"mamba_d_head", 16),
    (r"mamba_dt_rank", 4),
    (r"mamba_n_groups|mamba_chunk_size", 1),
    (r"pad_token_id|decoder_start_token_id", 0),
    (r"bos_token_id", 1),
    (r"eos_token_id", 2),
)


def configuration(name: str) -> PreTrainedConfig:
    """The configuration of a type, small; of a model that sees or hears, that of its text."""
    config = AutoConfig.for_model(name)
    text = _text_config(config)
    if text is not None:
        config = text
    return AutoConfig.for_model(config.model_type, **smaller(config.to_dict()))


def _text_config(config: PreTrainedConfig) -> PreTrainedConfig | None:
    """The part of a configuration that describes a decoder of text."""
    thinker = getattr(config, "thinker_config", None)
    text = getattr(thinker or config, "text_config", None)
    return text if isinstance(text, PreTrainedConfig) else None


def smaller(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a configuration whose values change, by their names."""
    return dict(_smaller(fields))


def _smaller(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, list) and len(value) > LAYERS:
            yield name, value[:LAYERS]
        if isinstance(value, bool) or not isinstance(value, int | float | list):
            continue
        size = _size(name)
        if size is not None and not (isinstance(value, list) and len(value) > 1):
            yield name, min(size, value) if isinstance(value, int) else size


def _size(name: str) -> int | None:
    for pattern, size in SIZES:
        if re.fullmatch(pattern, name):
            return size
    return None


def model(name: str) -> torch.nn.Module:
    """A model of a type with random weights, in evaluation mode."""
    torch.manual_seed(0)
    config = configuration(name)
    reasons = []
    for auto in (AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModel):
        try:
            built: torch.nn.Module = auto.from_config(config)
        except ValueError as error:
            reasons.append(str(error))
            continue
        return built.eval()
    raise ValueError(reasons[-1])
