"""exit-bytes: a decoder over bytes, of which each new byte leaves at the first exit that is sure.

It is trained for all ways to pay what a byte owes that left: in a part of the steps bytes leave at
random, and later ones look at keys and values that were copied, or projected, from the exit.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.mechanisms.token_exit import TokenExit
from condsim.zoo.attention import BASE
from condsim.zoo.base import DECODERS, Knob, ZooModel
from condsim.zoo.data import training_text, windows
from condsim.zoo.exit_cache import ExitCache, Running, pay
from condsim.zoo.training import bits, minimise

Turn = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines of the angles of some positions, float [positions, 1, width of a head] each."""
WAYS = ("all", "projected", "all", "copied")
"""What bytes of a training step look at, step after step: states of all layers, or what bytes that
left have projected or copied."""


class Layer(nn.Module):
    """Attention with a cache and a ReLU FFN, each with a residual."""

    def __init__(self, hidden: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm: nn.Module = nn.LayerNorm(hidden)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.pair = nn.Linear(hidden, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, hidden, bias=False)
        self.ffn_norm: nn.Module = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, width)
        self.down = nn.Linear(width, hidden)

    def pairs(self, x: torch.Tensor, turn: Turn) -> torch.Tensor:
        """The keys and values of states: [rows, tokens, 2 hidden]."""
        keys, values = self.pair(self.attention_norm(x)).chunk(2, -1)
        return torch.cat([self._turned(keys, turn).flatten(2), values], -1)

    def forward(self, x: torch.Tensor, running: Running, layer: int, turn: Turn) -> torch.Tensor:
        """x: [rows, tokens, hidden] of the tokens that run. layer: its number."""
        running.write(layer, self.pairs(x, turn))
        return self.rest(x, turn, running.read(layer), running.mask)

    def rest(
        self,
        x: torch.Tensor,
        turn: Turn,
        pairs: torch.Tensor,
        mask: torch.Tensor | None = None,
        is_causal: bool = False,
    ) -> torch.Tensor:
        """What comes once keys and values are known. pairs: of all tokens."""
        q = self._turned(self.query(self.attention_norm(x)), turn).transpose(1, 2)
        k, v = pairs.unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        y: torch.Tensor = x + self.feed_forward(self.ffn_norm(x))
        return y

    def feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        """The second half without its residual and norm."""
        out: torch.Tensor = self.down(F.relu(self.up(x)))
        return out

    def _turned(self, x: torch.Tensor, turn: Turn) -> torch.Tensor:
        """Each pair of channels (i, i + width / 2) of each head turned by its position's angle.

        x: [rows, tokens, hidden]. Returns [rows, tokens, heads, width].
        """
        heads = x.unflatten(2, (self.heads, -1))
        cos, sin = turn
        others = heads.roll(heads.shape[-1] // 2, -1)
        turned: torch.Tensor = heads * cos + others * sin
        return turned


class Decoded(NamedTuple):
    """Logits [units, tokens, 256], and the cache to go on with."""

    logits: torch.Tensor
    past_key_values: ExitCache


@DECODERS.register("exit-bytes")
class ExitBytes(ZooModel):
    """Byte ids int64 [batch, seq], or one more byte [batch, 1] with a cache → `Decoded`.

    exits: how many layers stand before each. threshold: probability of the likeliest byte from
    which on a byte leaves. All exits share the last norm and head.
    """

    cos: torch.Tensor
    sin: torch.Tensor

    mechanism = TokenExit.name
    data = "text"
    knob = Knob("threshold", (0.5, 0.6, 0.8, 0.9), 0.0, 1.01)
    seq = 48
    new_tokens = 32
    trained_seq = 128
    batch = 16
    example_batch = 8
    steps = 1300

    def __init__(
        self,
        hidden: int = 96,
        heads: int = 4,
        width: int = 384,
        layers: int = 8,
        exits: tuple[int, ...] = (2, 4, 6),
        max_seq: int = 128,
        threshold: float = 0.7,
    ) -> None:
        super().__init__(
            hidden=hidden,
            heads=heads,
            width=width,
            layers=layers,
            exits=tuple(exits),
            max_seq=max_seq,
            threshold=threshold,
        )
        self.threshold = threshold
        self.embed = nn.Embedding(256, hidden)
        cos, sin = angles(hidden // heads, max_seq)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.layers = nn.ModuleList(Layer(hidden, heads, width) for _ in range(layers))
        self.norm: nn.Module = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, 256, bias=False)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.borders = (0, *exits, layers)

    def forward(self, input_ids: torch.Tensor, past_key_values: ExitCache | None = None) -> Decoded:
        if past_key_values is None:
            return self._prompt(input_ids)
        cache = past_key_values
        logits = self._from(0, self.embed(input_ids), Running.next_token(cache))
        cache.position += 1
        return Decoded(logits, cache)

    def _prompt(self, ids: torch.Tensor) -> Decoded:
        """All layers of all bytes of a prompt."""
        x = self.embed(ids)
        turn = self._turn(0, ids.shape[1])
        cache = ExitCache(x, len(self.layers), len(self.borders) - 2, self.config["max_seq"])
        running = Running(cache, tuple(cache.pairs), 0, cache.position)
        for number in range(len(self.layers)):
            layer = self._layer(number)
            pairs = layer.pairs(x, turn)
            running.write(number, pairs)
            x = layer.rest(x, turn, pairs, is_causal=True)
        return Decoded(self.head(self.norm(x)), cache)

    def _from(self, exit: int, x: torch.Tensor, running: Running) -> torch.Tensor:
        """Logits [rows, 1, 256] of the sequences that reach the layers before an exit."""
        turn = self._turn(running.first, running.stop)
        for number in range(self.borders[exit], self.borders[exit + 1]):
            x = self.layers[number](x, running, number, turn)
        newest = x if running.mask is None else x[:, -1:]
        if exit == len(self.borders) - 2:
            last: torch.Tensor = self.head(self.norm(newest))
            return last
        return self._at(exit, x, newest, running)

    def _at(
        self, exit: int, x: torch.Tensor, newest: torch.Tensor, running: Running
    ) -> torch.Tensor:
        """Logits of the sequences that reach an exit. newest: states of their newest byte."""
        site = f"exit{exit}"
        out: Any = None
        turn = self._turn(running.first, running.stop)

        def decide() -> torch.Tensor:
            nonlocal out
            out = self.head(self.norm(newest))
            sure = out.softmax(-1).amax((1, 2))
            goes_on: torch.Tensor = sure < self.threshold
            return goes_on.long()

        rows: Any
        condsim.route(site, "token_exit", decide)
        with condsim.branch(site, 0) as rows:
            if rows:
                after = range(self.borders[exit + 1], len(self.layers))
                pay(rows, x, running, exit, after, partial(self._pairs, turn))
        with condsim.branch(site, 1) as rows:
            if rows:
                out = rows.put(out, self._behind(exit, newest, running.behind(rows), rows))
        logits: torch.Tensor = out
        return logits

    def _behind(self, exit: int, newest: torch.Tensor, running: Running, rows: Any) -> torch.Tensor:
        """Logits of the sequences that go past an exit."""
        if rows.debts != "recomputed":
            return self._from(exit + 1, rows.take(newest), running)
        running = running.with_owed(rows, exit)
        logits = self._from(exit + 1, running.remembered(exit), running)
        running.went_past(exit)
        return logits

    def _pairs(self, turn: Turn, layer: int, states: torch.Tensor) -> torch.Tensor:
        """Keys and values that a layer makes of states."""
        return self._layer(layer).pairs(states, turn)

    def _layer(self, number: int) -> Layer:
        layer = self.layers[number]
        assert isinstance(layer, Layer)
        return layer

    def _turn(self, first: int, stop: int) -> Turn:
        return self.cos[first:stop], self.sin[first:stop]

    # Training

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        text, digest = training_text()
        possible_starts = len(text) - cls.trained_seq - 1

        def loss(step: int) -> torch.Tensor:
            starts = torch.randint(possible_starts, (cls.batch,))
            ids, targets = windows(text, starts, cls.trained_seq)
            return model.loss(ids, targets, WAYS[step % len(WAYS)])

        minimise(model.parameters(), loss, steps, progress, "exit-bytes")
        return model.eval(), {"data_sha256": digest}

    def loss(self, ids: torch.Tensor, targets: torch.Tensor, way: str) -> torch.Tensor:
        """Cross entropy in bits of the bytes that reach each exit; later exits count more.

        ids, targets: int64 [batch, seq]. way: of WAYS.
        """
        exits = len(self.borders) - 2
        leaves = torch.full(ids.shape, exits)
        if way != "all":
            leaves = torch.randint(exits + 1, ids.shape)
        total = torch.zeros(())
        for exit, logits in enumerate(self.every_exit(ids, leaves, way)):
            reached = leaves >= exit
            total = total + (exit + 1) * bits_of(logits, targets)[reached].mean()
        return total / sum(range(exits + 2))

    def every_exit(self, ids: torch.Tensor, leaves: torch.Tensor, way: str) -> list[torch.Tensor]:
        """Logits [batch, seq, 256] at every exit and at the end.

        leaves: exits that each byte passes, int64 [batch, seq]; the keys and values after them are
        what `way` makes of it ("projected" or "copied").
        """
        x = self.embed(ids)
        turn = self._turn(0, ids.shape[1])
        left = torch.zeros_like(ids, dtype=torch.bool).unsqueeze(-1)
        states, pairs = x, self._layer(0).pairs(x, turn)
        paid = pairs
        logits: list[torch.Tensor] = []
        for exit in range(len(self.borders) - 1):
            for number in range(self.borders[exit], self.borders[exit + 1]):
                layer = self._layer(number)
                pairs = layer.pairs(x, turn)
                if way == "projected":
                    paid = layer.pairs(states, turn)
                pairs = torch.where(left, paid, pairs)
                x = layer.rest(x, turn, pairs, is_causal=True)
            logits.append(self.head(self.norm(x)))
            now = (leaves == exit).unsqueeze(-1)
            states = torch.where(now, x, states)
            if way == "copied":
                paid = torch.where(now, pairs, paid)
            left = left | now
        return logits


def angles(width: int, positions: int) -> Turn:
    """Cosines and sines of rotary positions. width: of a head."""
    half = width // 2
    frequency = BASE ** (-torch.arange(half) / half)
    angle = torch.arange(positions).unsqueeze(1) * frequency
    sin = torch.cat([-angle.sin(), angle.sin()], -1)
    return angle.cos().repeat(1, 2).unsqueeze(1), sin.unsqueeze(1)


def bits_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each byte in bits, float [batch, seq]."""
    flat = bits(logits.flatten(0, 1).unsqueeze(1), targets.flatten().unsqueeze(1))
    return flat.view_as(targets)
