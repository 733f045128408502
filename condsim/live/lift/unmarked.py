"""What a model decides that no adapter lifts: told from the calls of one run, for a message.

Each rule looks for one kind of decision, and says why it is not captured and how it is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from condsim.live.lift.forks import COMPARISONS
from condsim.live.lift.natural_tape import NaturalTape, Seen
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import tensor_of
from condsim.mechanisms import mechanism_of, signs

RANKINGS = {"topk", "sort", "argsort", "kthvalue"}
PUTS_BACK = {"scatter", "scatter_add", "scatter_reduce", "index_copy", "index_add", "setitem"}
TAKES = {"gather", "take_along_dim", "index_select", "getitem", "take"}
PRODUCTS = {"einsum", "bmm", "matmul", "tensordot"}
MASKINGS = {"mul", "where", "masked_fill", "getitem", "index_select", "scatter", "rmul", "imul"}
PRODUCTS_BY_NUMBERS = {"mul", "rmul", "imul"}
HARD = {
    *RANKINGS,
    *COMPARISONS,
    "eq",
    "ne",
    "argmax",
    "argmin",
    "one_hot",
    "nonzero",
    "where",
    "masked_fill",
    "multinomial",
    "bernoulli",
    "round",
    "sign",
    "bucketize",
}
"""Functions by which something is decided, and not weighed."""


@dataclass(frozen=True)
class Unmarked:
    """Why something is not captured. reason: what it does. way_out: what a user can do."""

    reason: str
    way_out: str


def unmarked(
    model: nn.Module, call: Callable[[], Any], units: int, experts: bool = False
) -> Unmarked | None:
    """What a model decides, as far as a rule knows it; None where none does.

    call: runs the model once. units: of the batch. experts: whether it has a list of experts.
    """
    tape = NaturalTape(model)
    try:
        tape.run(lambda: call(), (), {})
    except Exception:  # a message must not fail; the model did not when it ran by itself
        return None
    seen = Seen.of(model, tape, units, experts)
    for rule in RULES:
        found = rule(seen)
        if found is not None:
            return found
    return None


def _marked(sign: str) -> str:
    """How the decision that a sign is of is marked."""
    return mechanism_of(sign).how_to_mark


def _expert_choice(seen: Seen) -> Unmarked | None:
    """Each expert picks its rows."""
    for node in seen.named({"topk"}):
        scores = seen.first(node)
        if scores is None or scores.ndim < 2 or scores.shape[-2] not in seen.lists:
            continue
        if scores.shape[-1] in seen.lists or scores.shape[-1] < seen.units:
            continue
        return Unmarked(
            "each of its experts picks its rows (top-k over the rows), so that what one row gets "
            "follows from all others in the batch",
            "mark each expert as a layer that rows skip: condsim.route('NAMEe', 'skip', picked), "
            "picked 1 for the rows of expert e, and with condsim.branch('NAMEe', 1) as rows: ...",
        )
    return None


def _attention(seen: Seen) -> Unmarked | None:
    """Attention looks at the keys of the highest scores."""
    for node in seen.named(RANKINGS):
        scores = seen.first(node)
        if scores is None or scores.ndim < 3 or scores.shape[-1] != scores.shape[-2]:
            continue
        if any(later.name == "softmax" for later in seen.after(node)):
            return Unmarked(
                "attention picks keys by their scores after all of them were computed, which "
                "saves nothing as it is written, and keys that are left out are not simulated",
                "capture the model without it, or mark another decision of it with condsim.route "
                "and condsim.branch",
            )
    return None


def _tokens(seen: Seen) -> Unmarked | None:
    """Tokens of a unit are ranked, and the best go on."""
    for node in seen.named(RANKINGS):
        scores = seen.first(node)
        if scores is None or scores.ndim < 2 or scores.shape[0] != seen.units:
            continue
        tokens = [size for size in scores.shape[1:] if size > 1 and size not in seen.lists]
        if scores.ndim > 2 and scores.shape[-2] in seen.lists:
            continue
        for later in seen.after(node):
            taken = seen.first(later)
            if later.name not in TAKES | PUTS_BACK or taken is None or taken.ndim != 3:
                continue
            if taken.shape[1] in tokens and later.name in TAKES:
                return _of_tokens(seen, node, int(taken.shape[1]))
    return None


def _of_tokens(seen: Seen, ranked: Node, tokens: int) -> Unmarked:
    sign = signs.THE_BEST_GO_ON
    for later in seen.after(ranked):
        into = seen.first(later)
        if later.name in PUTS_BACK and into is not None and into.ndim == 3:
            is_shorter = into.shape[1] < tokens
            sign = signs.JOIN_THE_MOST_ALIKE if is_shorter else signs.THE_BEST_ENTER
            break
    return Unmarked(f"{sign}, and how many is said in Python", _marked(sign))


def _dispatch(seen: Seen) -> Unmarked | None:
    """Rows are sent by products with one-hot tensors."""
    for node in seen.named({"one_hot", "cumsum"}):
        for later in seen.after(node):
            if later.name in PRODUCTS and seen.lists & set(_sizes(later)):
                return Unmarked(
                    "rows are sent to experts in buffers, or by products with a one-hot tensor, so "
                    "that every expert multiplies as many rows, padding and zeros among them, "
                    "whatever is decided",
                    _marked(signs.ROWS_ARE_SENT),
                )
    return None


def _sizes(node: Node) -> tuple[int, ...]:
    return tuple(node.out.shape) if node.single else ()


def _hash(seen: Seen) -> Unmarked | None:
    """Rows are sent by the ids of the input."""
    for node in seen.named({"eq"}):
        made_of = [one for one in seen.before(node) if one.single]
        of_ids = all(not one.out.is_floating_point() for one in made_of)
        if made_of and of_ids and any(later.name in MASKINGS for later in seen.after(node)):
            return Unmarked(
                "rows are sent by the ids of the input (a table or a remainder), not by a gate",
                _marked(signs.ROWS_ARE_SENT),
            )
    return None


def _neurons(seen: Seen) -> Unmarked | None:
    """Neurons are left out after their first product."""
    for node in seen.named({"gt", "ge", "topk", "nonzero"}):
        activations = seen.first(node)
        if activations is None or activations.ndim < 1 or activations.shape[-1] <= 16:
            continue
        width = activations.shape[-1]
        after = seen.after(node)
        is_read = any(later.name in ("linear", "matmul") for later in after)
        reads_width = any(seen.reads_width(later, width) for later in after)
        if not is_read or not reads_width:
            continue
        skips = any(later.name in TAKES and seen.first(later) is not None for later in after)
        what = "are left out of a product" if skips else "are set to zero"
        saves = "" if skips else ", which saves nothing as it is written"
        return Unmarked(
            f"neurons are chosen by their scores (a threshold or a top-k) and {what}{saves}",
            _marked(signs.NEURONS_ARE_LEFT_OUT),
        )
    return None


def _masked_layers(seen: Seen) -> Unmarked | None:
    """A layer's result is multiplied by 0 or 1, one for each row."""
    for node in seen.named(COMPARISONS):
        for later in seen.after(node):
            if later.name not in PRODUCTS_BY_NUMBERS or not later.single or later.out.ndim < 3:
                continue
            factors = [tensor_of(seen.tape, ref) for ref in later.read]
            if any(factor.ndim > 2 and factor.numel() == seen.units for factor in factors):
                return Unmarked(
                    f"{signs.LAYERS_ARE_MASKED}, and run all the same: nothing is skipped as it is "
                    "written",
                    _marked(signs.LAYERS_ARE_MASKED),
                )
    return None


def _depths(seen: Seen) -> Unmarked | None:
    """A router's choice is compared with numbers: it says how often rows go through a block."""
    for node in seen.named(COMPARISONS):
        compared = seen.first(node)
        if compared is None or compared.is_floating_point():
            continue
        if any(earlier.name in ("argmax", "max", "topk") for earlier in seen.before(node)):
            return Unmarked(
                "a router's choice is compared with numbers, so that it says how often rows go "
                "through a layer",
                _marked(signs.ROWS_ARE_DONE),
            )
    return None


def _masked_tokens(seen: Seen) -> Unmarked | None:
    """Tokens that are dropped stay where they are, behind a mask."""
    for node in seen.named({*COMPARISONS, "eq", "ne"}):
        if not node.single or node.out.ndim != 2 or node.out.shape[0] != seen.units:
            continue
        masks = {"mul", "multi_head_attention_forward", "masked_fill"}
        after = seen.after(node)
        if any(later.name == "where" and len(later.args) == 3 for later in after):
            continue
        uses = [later for later in after if later.name in masks]
        if any(use.single and use.out.ndim >= 3 for use in uses):
            return Unmarked(
                "tokens that are dropped are masked, and run all the same: nothing is skipped as "
                "it is written",
                _marked(signs.THE_BEST_GO_ON),
            )
    return None


def _frozen(seen: Seen) -> Unmarked | None:
    """Rows or tokens keep their state, and run all the same."""
    for node in seen.named({"where"}):
        if len(node.args) == 3 and all(_is_state(seen, node, kept) for kept in node.args[1:]):
            return Unmarked(
                "torch.where keeps the state of what is done, and what comes after runs for all "
                "rows all the same: nothing is skipped as it is written",
                _marked(signs.ROWS_ARE_DONE),
            )
    return None


def _is_state(seen: Seen, node: Node, kept: object) -> bool:
    """Whether what a node chooses between is as large as its result, and no number of a mask."""
    tensor = tensor_of(seen.tape, kept) if isinstance(kept, Ref) else kept
    return isinstance(tensor, torch.Tensor) and node.single and tensor.shape == node.out.shape


def _looked_up(seen: Seen) -> Unmarked | None:
    """Experts are rows of a table, of which each row looks up the best (PEER, Doge)."""
    for node in seen.named({"embedding"}):
        if any(earlier.name == "topk" for earlier in seen.before(node)):
            return Unmarked(
                "its experts are rows of a table, of which each token looks up those of high "
                "scores: every token runs the same work whatever is decided, and only which rows "
                "are read follows, which is not simulated",
                "capture the model without it, or mark another decision of it with condsim.route "
                "and condsim.branch",
            )
    return None


def _in_numbers(seen: Seen) -> Unmarked | None:
    """Numbers leave the tensors, and Python decides by them."""
    if seen.named(HARD) or not seen.tape.taken:
        return None
    how = " and ".join(sorted(seen.tape.taken))
    sign = signs.ROWS_ARE_SENT if seen.experts else signs.ROWS_ARE_DONE
    return Unmarked(
        f"it takes numbers out of tensors ({how}) and decides by them in Python, if it decides at "
        "all, where they cannot be followed",
        f"compare the tensors instead (if confidence.max() > t), or {_marked(sign)}",
    )


def _nothing(seen: Seen) -> Unmarked | None:
    """Nothing is decided: all that there is runs, and is weighed."""
    if any(seen.is_of_data(node) for node in seen.named(HARD)):
        return None
    return Unmarked(
        "it decides nothing: no choice, no comparison and no mask is made of the data, all of it "
        "runs for every input and is at most weighed (as in a soft mixture), so that nothing can "
        "be skipped",
        "if something is decided outside of torch functions, mark it with condsim.route and "
        "condsim.branch",
    )


Rule = Callable[[Seen], Unmarked | None]
RULES: tuple[Rule, ...] = (
    _looked_up,
    _attention,
    _tokens,
    _expert_choice,
    _dispatch,
    _hash,
    _depths,
    _masked_layers,
    _masked_tokens,
    _neurons,
    _frozen,
    _in_numbers,
    _nothing,
)
"""The first that knows the decision says it."""
