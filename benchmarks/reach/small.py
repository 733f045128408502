"""A small random model of a type: its own configuration class, sizes made small by their names."""

from __future__ import annotations

import importlib
import inspect
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
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from benchmarks.reach.own import OWN
from benchmarks.reach.types import READERS

LAYERS = 2
"""Of a type whose layers are alike; else one of each kind."""
KINDS_OF_LAYERS = r"(?!mtp).*(layer_types|layers_block_type)"
COUNT_OF_LAYERS = r"(num_)?hidden_layers"
SIZES: tuple[tuple[str, int], ...] = (
    (r"(unpadded_)?vocab_size|vocab_size_per_layer_input", 128),
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
    fields = smaller(config.to_dict()) | dict(OWN.get(name, {}))
    return type(config)(**fields)


def _text_config(config: PreTrainedConfig) -> PreTrainedConfig | None:
    """The part of a configuration that describes a decoder of text."""
    thinker = getattr(config, "thinker_config", None)
    text = getattr(thinker or config, "text_config", None)
    return text if isinstance(text, PreTrainedConfig) else None


def smaller(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a configuration whose values change, by their names."""
    changed = dict(_smaller(fields))
    heads, shared = changed.get("num_attention_heads"), "num_key_value_heads"
    if heads and fields.get(shared) == fields["num_attention_heads"]:
        changed[shared] = heads
    return changed | _layers(fields)


def _layers(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Lists with an entry a layer, cut to one layer of each kind, and how many are left."""
    counts = [name for name in fields if re.fullmatch(COUNT_OF_LAYERS, name)]
    lists = {n: v for n, v in fields.items() if re.fullmatch(KINDS_OF_LAYERS, n) and v}
    if not lists:
        return {}
    kinds = list(zip(*lists.values(), strict=False))
    first = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    kept = sorted(first) if len(first) > 1 else list(range(LAYERS))
    cut: dict[str, Any] = {name: [value[i] for i in kept] for name, value in lists.items()}
    return cut | {name: len(kept) for name in counts}


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
    for auto in (AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModel):
        if type(config) in auto._model_mapping:
            built: PreTrainedModel = auto.from_config(config)
            return (built if name in READERS else WithHead.if_bare(built)).eval()
    return WithHead.if_bare(_class_of(config)(config)).eval()


def _class_of(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that takes a part of a larger model's configuration: the last one of its file that
    does. Raises ValueError where none does."""
    module = type(config).__module__.replace("configuration_", "modeling_")
    classes = vars(importlib.import_module(module)).values()
    taking = [c for c in classes if inspect.isclass(c) and issubclass(c, PreTrainedModel)]
    found = [c for c in taking if c.config_class is type(config) and c.__module__ == module]
    if not found:
        raise ValueError(f"no class in {module} takes a {type(config).__name__}")
    return found[-1]


class WithHead(torch.nn.Module):
    """The part of a larger model that reads text, which comes without its last product."""

    def __init__(self, body: PreTrainedModel) -> None:
        super().__init__()
        self.body = body
        self.config = body.config
        self.head = torch.nn.Linear(body.config.hidden_size, body.config.vocab_size, bias=False)

    @classmethod
    def if_bare(cls, built: PreTrainedModel) -> torch.nn.Module:
        """The model, with a head where it reads text and has none."""
        reads = "input_ids" in inspect.signature(built.forward).parameters
        bare = built.get_output_embeddings() is None and hasattr(built.config, "vocab_size")
        return cls(built) if reads and bare and hasattr(built.config, "hidden_size") else built

    def forward(
        self, input_ids: torch.Tensor, past_key_values: Any = None
    ) -> CausalLMOutputWithPast:
        out = self.body(input_ids=input_ids, past_key_values=past_key_values, use_cache=True)
        logits = self.head(out.last_hidden_state)
        return CausalLMOutputWithPast(logits=logits, past_key_values=out.past_key_values)

    def set_experts_implementation(self, name: str) -> None:
        self.body.set_experts_implementation(name)

    def set_attn_implementation(self, name: str) -> None:
        self.body.set_attn_implementation(name)
