"""Decoding with the model's own cache: one greedy token a sequence after another.

A model of transformers is driven by its own `generate()`, and every forward pass that this runs
after the first is a decode step. So a step has the arguments that it has in use: the mask of a
padded batch, positions, token types. Any other model continues with the cache that it returns.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.adapters.structure import instead
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.record.recorder import Recorder

NOT_GENERATED_WITH = ("labels", "return_dict", "use_cache")
"""Arguments of forward() that `generate()` does not take, or sets itself."""

Arguments = dict[str, Any]
"""Arguments of forward() by name."""


@dataclass(frozen=True)
class DecodeStep:
    """One forward pass with one more token a sequence.

    batch: the tokens, and what comes with them. cache: arguments that the pass changes.
    """

    batch: Batch
    cache: Arguments

    @classmethod
    def of(cls, arguments: Mapping[str, Any], units: int) -> DecodeStep:
        """The step with these arguments. Tensors and plain values are the batch's."""
        plain = (bool, int, float, str, type(None))
        batch: Arguments = {}
        cache: Arguments = {}
        for name, value in arguments.items():
            is_tensor = isinstance(value, torch.Tensor)
            if name in CACHES or not (is_tensor or isinstance(value, plain)):
                cache[name] = value
                continue
            # A tensor of inference mode may be used in no other mode.
            batch[name] = value.clone() if is_tensor else value
        return cls(Batch((), batch, units, seq=1), cache)


CACHES = ("cache", "past_key_values")
"""Names of the argument of forward() that takes the cache."""

Forward = Callable[..., Any]
RunStep = Callable[[Forward, Arguments], Any]
"""Runs one decode step: (forward of the model, its arguments) → the output."""


def has_encoder(model: torch.nn.Module) -> bool:
    """Whether transformers' `generate()` runs an encoder once, and a decoder for every token."""
    return _has_generate(model) and bool(getattr(model.config, "is_encoder_decoder", False))


def decode(
    live: LiveModel, prefix: Batch, new_tokens: int, watched: Callable[[Execution], None]
) -> None:
    """Run `prefix`, and `new_tokens` greedy steps after it; rows that have ended get padding.

    watched: called after each step with the execution that observed it.
    Raises CondsimError where the model cannot decode.
    """

    def watch(forward: Forward, arguments: Arguments) -> Any:
        execution = Execution(observed={})
        with live.in_force(execution):
            output = forward(**arguments)
        watched(execution)
        return output

    run_steps(live, prefix, new_tokens, watch)


def greedy_tokens(
    live: LiveModel, prefix: Batch, new_tokens: int, execution: Execution
) -> torch.Tensor:
    """What an encoder-decoder makes of a prefix: the first token and those of `new_tokens` steps.

    execution: what is in force. Returns int64 [units, new_tokens + 1]; rows that have ended have
    padding.
    """
    tokens: list[torch.Tensor] = []
    newest: torch.Tensor | None = None

    def keep(forward: Forward, arguments: Arguments) -> Any:
        nonlocal newest
        tokens.append(arguments["decoder_input_ids"][:, -1:])
        with live.in_force(execution):
            output = forward(**arguments)
        newest = greedy_token(output)
        return output

    run_steps(live, prefix, new_tokens, keep, execution)
    assert newest is not None
    return torch.cat([*tokens, newest], 1)


def decode_step(
    live: LiveModel,
    prefix: Batch,
    steps_before: int = 0,
    strategies: Mapping[str, str] | None = None,
    forced: Sequence[Mapping[str, np.ndarray]] = (),
) -> DecodeStep:
    """The step that follows on `prefix` and `steps_before` steps, which are run unwatched.

    strategies: of the steps before, mechanism → strategy; None for the model's own. forced: their
    decisions, site → ids, a step each; empty for the model's own.
    Raises CondsimError where the model cannot decode.
    """
    done = 0
    before = Execution(dict(strategies or {}))

    def run_or_stop(forward: Forward, arguments: Arguments) -> Any:
        nonlocal done
        if done == steps_before:
            raise _Reached(arguments)
        if forced:
            before.forced = forced[done]
        done += 1
        return forward(**arguments)

    try:
        run_steps(live, prefix, steps_before + 1, run_or_stop, before)
    except _Reached as reached:
        return DecodeStep.of(reached.arguments, prefix.units)
    raise CondsimError(f"new_tokens: {_name(live)} ended before decode step {steps_before}")


def record_decode(
    live: LiveModel, prefix: Batch, execution: Execution, steps_before: int = 0
) -> Recorder:
    """Run `prefix` and some steps unrecorded, then record one more token a sequence with the
    model's cache."""
    step = decode_step(live, prefix, steps_before)
    return live.record(step.batch, execution, **step.cache)


class _Reached(BaseException):
    """The step that was asked for is about to run."""

    def __init__(self, arguments: Arguments) -> None:
        super().__init__()
        self.arguments = arguments


def run_steps(
    live: LiveModel,
    prefix: Batch,
    new_tokens: int,
    run_step: RunStep,
    execution: Execution | None = None,
) -> None:
    """Run `prefix`, and then `new_tokens` steps by `run_step`. execution: what is in force.

    Raises CondsimError where the model cannot decode.
    """
    driver = _generate if _has_generate(live.model) else _continue
    try:
        with live.prepared(execution or Execution()), live.computing():
            driver(live, prefix, new_tokens, run_step)
    except CondsimError:
        raise
    except Exception as error:
        first_line = str(error).strip().splitlines()[:1]
        said = f"{type(error).__name__}: {''.join(first_line)}"
        raise CondsimError(
            f"new_tokens: {_name(live)} fails while it decodes ({said}); capture without new_tokens"
        ) from error


def _name(live: LiveModel) -> str:
    return type(live.model).__name__


# Models of transformers


def _has_generate(model: torch.nn.Module) -> bool:
    """Whether transformers generates with this model."""
    generation = sys.modules.get("transformers.generation.utils")
    return generation is not None and isinstance(model, generation.GenerationMixin)


def _generate(live: LiveModel, prefix: Batch, new_tokens: int, run_step: RunStep) -> None:
    """Let the model's own `generate()` run every step."""
    model: Any = live.model
    passes = 0

    def forward(own_forward: Forward, *args: Any, **kwargs: Any) -> Any:
        nonlocal passes
        passes += 1
        arguments = _by_name(own_forward, args, kwargs)
        return own_forward(**arguments) if passes == 1 else run_step(own_forward, arguments)

    arguments = _generation_arguments(model, prefix)
    with instead(model, forward), _silent():
        model.generate(
            **arguments, max_new_tokens=new_tokens + 1, do_sample=False, num_beams=1, use_cache=True
        )
    if passes <= new_tokens:
        raise CondsimError(
            f"new_tokens: generate() of {_name(live)} ran {passes} forward passes where "
            f"{new_tokens + 1} were asked for; capture without new_tokens"
        )


def _generation_arguments(model: Any, prefix: Batch) -> Arguments:
    """What `generate()` is called with.

    It never stops early: rows that have ended get padding until all steps are done, so that what a
    row does is the same in any batch.
    """
    arguments: Arguments = {}
    for name, value in _by_name(model.forward, prefix.args, prefix.kwargs).items():
        if name not in NOT_GENERATED_WITH and value is not None:
            arguments[name] = value
    config = model.generation_config
    ends = _as_list(config.eos_token_id)
    if not ends:
        return arguments
    padding = ends[0] if config.pad_token_id is None else config.pad_token_id
    ids = arguments.get("input_ids")
    if padding in ends and ids is not None and "attention_mask" not in arguments:
        # generate() cannot tell padding from an end, and then takes every token for one of text.
        arguments["attention_mask"] = torch.ones_like(ids)
    from transformers import LogitsProcessorList

    processors = LogitsProcessorList([_PadEnded(ends, padding)])
    return {**arguments, "eos_token_id": None, "logits_processor": processors}


def _as_list(tokens: Any) -> list[int]:
    if tokens is None:
        return []
    return [int(token) for token in (tokens if isinstance(tokens, (list, tuple)) else [tokens])]


class _PadEnded:
    """A logits processor of transformers: a row that has ended goes on with padding."""

    def __init__(self, ends: list[int], padding: int) -> None:
        self.ends = ends
        self.padding = padding
        self._prefix: int | None = None  # tokens before the first new one

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """input_ids: int [units, tokens so far]. scores: float [units, vocabulary]."""
        if self._prefix is None:
            self._prefix = input_ids.shape[1]
        new = input_ids[:, self._prefix :]
        ended = torch.isin(new, new.new_tensor(self.ends)).any(1)
        scores = scores.masked_fill(ended[:, None], -float("inf"))
        scores[ended, self.padding] = 0.0
        return scores


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """While it lasts, transformers logs errors only: each run would repeat its advice."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


# Any other model


def _continue(live: LiveModel, prefix: Batch, new_tokens: int, run_step: RunStep) -> None:
    """Run every step with the cache that the model returns."""
    model = live.model
    accepted = inspect.signature(model.forward).parameters
    use_cache = {"use_cache": True} if "use_cache" in accepted else {}
    output = prefix.call(model, **use_cache)
    cache_name = next((name for name in CACHES if name in accepted), CACHES[-1])
    cache = _cache_of(output, cache_name)
    if cache is None:
        raise CondsimError(
            f"new_tokens: {_name(live)} returns no key-value cache; capture without new_tokens"
        )
    arguments = _by_name(model.forward, prefix.args, prefix.kwargs)
    continued = _Continued(arguments, prefix)
    for _ in range(new_tokens):
        token = greedy_token(output)
        step = {**continued.with_token(token), **use_cache, cache_name: cache}
        output = run_step(model.forward, step)
        cache = _cache_of(output, cache_name)


def _cache_of(output: Any, name: str) -> Any:
    """The cache that an output holds; None where it has none."""
    for attribute in (name, *CACHES):
        cache = getattr(output, attribute, None)
        if cache is not None:
            return cache
    return None


class _Continued:
    """The arguments of a batch as they go on with more tokens.

    A mask is continued by ones, positions count on, token types stay what they were. Other
    arguments with a value for each position belong to the prefix; the rest stays as it is.
    """

    def __init__(self, arguments: Mapping[str, Any], prefix: Batch) -> None:
        self.tokens = "input_ids"
        self.masks: Arguments = {}
        self.positions: Arguments = {}
        self.unchanged: Arguments = {}
        for name, value in arguments.items():
            of_positions = isinstance(value, torch.Tensor) and value.ndim >= 2
            if not of_positions or value.shape[1] != prefix.seq:
                self.unchanged[name] = value
            elif "mask" in name:
                self.masks[name] = value
            elif "position" in name:
                self.positions[name] = value[:, -1:]
            elif "type" in name:
                self.unchanged[name] = value[:, -1:]
        tokens = [name for name, value in arguments.items() if self._are_tokens(name, value)]
        if tokens:
            self.tokens = tokens[0]

    def _are_tokens(self, name: str, value: Any) -> bool:
        known = name in (*self.masks, *self.positions, *self.unchanged, "labels")
        is_integer = isinstance(value, torch.Tensor) and not value.is_floating_point()
        return is_integer and not known

    def with_token(self, token: torch.Tensor) -> Arguments:
        """The arguments of the next step. token: int64 [units, 1]."""
        for name, mask in self.masks.items():
            self.masks[name] = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        for name, position in self.positions.items():
            self.positions[name] = position + 1
        return {**self.unchanged, **self.masks, **self.positions, self.tokens: token}


def greedy_token(output: Any) -> torch.Tensor:
    """The token of the largest logit at the last position, int64 [units, 1]."""
    logits = getattr(output, "logits", None)
    if logits is None:
        raise CondsimError(
            f"new_tokens: the model returns {type(output).__name__} without .logits; "
            "capture without new_tokens"
        )
    token: torch.Tensor = logits[:, -1:].argmax(-1)
    return token


def _by_name(forward: Forward, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
    """Arguments of a call of forward(), those given by position too."""
    positional = inspect.signature(forward).bind_partial(*args).arguments
    return {**positional, **kwargs}
