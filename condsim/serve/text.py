"""A replica that generates text: prompts are computed, then a token a step and sequence."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from condsim.serve.book import FORMING, MEMORY, NONE, QUEUE, SLOWEST, Book, Queue, RanStep
from condsim.serve.memory import KvMemory
from condsim.serve.replica import Replica
from condsim.serve.schedulers import SCHEDULERS
from condsim.serve.schedulers.base import Waiting
from condsim.serve.service import Service


@dataclass(eq=False, slots=True)
class Sequence:
    """A request on a replica.

    length: tokens that must be computed before the next one comes out: the prompt, and what had
    been generated before the memory was taken away. computed: of these. generated: tokens that
    had come out when it began to answer. joined: the turn at which it did. ends: the turn after
    which its answer is complete. reserved: tokens that memory was set aside for from the beginning,
    0 where it grows.
    """

    request: int
    length: int
    computed: int
    generated: int
    joined: int = -1
    ends: int = -1
    reserved: int = 0


@dataclass(frozen=True)
class Chunk:
    """Tokens of a prompt that a step computes, behind `past` others of the same sequence."""

    sequence: Sequence
    past: int
    tokens: int


@dataclass
class TextStep:
    """What a step computes.

    turn: how many tokens sequences that answer have generated so far, on this replica.
    answering: sequences that get a token each. kv: tokens that these look at, summed up.
    chunks: of prompts.
    """

    turn: int
    answering: dict[Sequence, None]
    kv: int
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Tokens that are computed."""
        return len(self.answering) + sum(chunk.tokens for chunk in self.chunks)

    def answers(self) -> Iterator[tuple[int, int]]:
        """Yield (request, tokens that were generated before) of each sequence that answers."""
        for sequence in self.answering:
            yield sequence.request, sequence.generated + self.turn - sequence.joined


class TextPrices(Protocol):
    """What steps of texts cost."""

    def price(self, step: TextStep) -> tuple[float, float]:
        """Return (seconds, joules) of a step."""


class TextReplica(Replica):
    """Runs one step at a time. Schedulers call `make_room`, `continue_prompts` and `admit`, and
    before them `look_back` where a step is planned while the one before it runs.

    admitted: sequences that have begun, oldest first. answering: of these, those whose prompt is
    computed. seen_s: the time that the next step is planned at. seats_kept: sequences that had not
    ended then.
    """

    def __init__(
        self,
        number: int,
        queue: Queue,
        book: Book,
        service: Service,
        prices: TextPrices,
    ) -> None:
        super().__init__(number, queue, book)
        assert service.scheduler is not None
        self.service, self.prices = service, prices
        self.scheduler = SCHEDULERS[service.scheduler]
        self.prompts = book.prompt_tokens
        self.outputs = book.output_tokens
        self.cached = book.cached_tokens
        self.memory = KvMemory(service.kv_tokens, service.kv_block)
        self.admitted: dict[Sequence, None] = {}
        self.answering: dict[Sequence, None] = {}
        self.complete: list[Sequence] = []
        self.ends: list[tuple[int, int, Sequence]] = []
        self.turn = self.kv = self.joins = 0
        self.seen_s, self.seats_kept = inf, 0
        self.began_s = self.ended_s = -inf
        self.left = 0
        self.step = TextStep(0, {}, 0)

    @property
    def load(self) -> int:
        return len(self.queue) + len(self.admitted)

    # What schedulers do

    @property
    def budget_left(self) -> int:
        """Tokens that the next step has room for."""
        return self.service.token_budget - self.step.rows

    def look_back(self) -> None:
        """Plan the step by what was there when the one before it began, if that ends now."""
        if self.ended_s == self.now:
            self.seen_s, self.seats_kept = self.began_s, self.left

    def make_room(self) -> None:
        """Take the memory of the youngest sequences until all others can go on for a token."""
        while not self.memory.fits(self.memory.blocks_of_turn(self.turn)):
            self._preempt()

    def continue_prompts(self) -> None:
        """Put chunks of prompts that have begun into the step, the oldest first."""
        for sequence in list(self.admitted):
            if sequence in self.answering or sequence not in self.admitted:
                continue
            tokens = min(sequence.length - sequence.computed, self.budget_left)
            if tokens <= 0:
                return
            while not self._fits(sequence, tokens) and self._youngest is not sequence:
                self._preempt()
            if not self._fits(sequence, tokens):
                return
            self._add_chunk(sequence, tokens)

    def admit(self, budget: int | None, in_chunks: bool = False, with_answer: bool = False) -> None:
        """Take requests from the queue and put their prompts into the step.

        budget: tokens; None for no limit. in_chunks: a prompt may be cut; where it may not, the
        first one is taken whatever its length. with_answer: only where the whole answer fits.
        """
        while len(self.queue) and self._has_seat(self.queue.oldest):
            sequence = self._sequence(self.queue.oldest)
            tokens = sequence.length - sequence.computed
            if budget is not None:
                if in_chunks:
                    tokens = min(tokens, budget)
                elif tokens > budget and self.step.chunks:
                    return
                if tokens <= 0:
                    return
                budget -= tokens
            if with_answer:
                sequence.reserved = sequence.length + self.outputs[sequence.request]
            if not self._fits(sequence, tokens):
                self.queue.because(MEMORY, self.now)
                return
            self.queue.pop(self.now)
            self.book.start(sequence.request, self.now)
            self.admitted[sequence] = None
            self.memory.take(0, sequence.reserved or sequence.computed)
            self._add_chunk(sequence, tokens)

    def _has_seat(self, request: int) -> bool:
        """Whether a request may join the step.

        A step that is planned ahead does not see all that is there, unless it would be empty.
        """
        most, taken = self.service.max_batch, len(self.admitted)
        if self.step.rows:
            taken += self.seats_kept
            return taken < most and self.book.arrival_s[request] <= self.seen_s
        return taken < most

    def _sequence(self, request: int) -> Sequence:
        generated = self.book.generated.get(request, 0)
        length = self.prompts[request] + generated
        return Sequence(request, length, self.cached[request], generated)

    def _fits(self, sequence: Sequence, tokens: int) -> bool:
        held = sequence.computed if sequence in self.admitted else 0
        needed = sequence.reserved or sequence.computed + tokens
        return self.memory.fits_grown(held, needed, self.turn)

    def _add_chunk(self, sequence: Sequence, tokens: int) -> None:
        if not sequence.reserved:
            self.memory.take(sequence.computed, sequence.computed + tokens)
        self.step.chunks.append(Chunk(sequence, sequence.computed, tokens))

    @property
    def _youngest(self) -> Sequence:
        return next(reversed(self.admitted))

    def _preempt(self) -> None:
        """Take the memory of the youngest sequence; it is computed again later."""
        sequence = self._youngest
        del self.admitted[sequence]
        if sequence in self.answering:
            self._stop_answering(sequence)
            sequence.generated += self.turn - sequence.joined
        else:
            planned = [chunk for chunk in self.step.chunks if chunk.sequence is sequence]
            held = sequence.computed + sum(chunk.tokens for chunk in planned)
            self.step.chunks = [c for c in self.step.chunks if c.sequence is not sequence]
            self.memory.give_back(held)
        sequence.ends = -1
        self.book.generated[sequence.request] = sequence.generated
        self.book.preemptions[sequence.request] += 1
        self.queue.push_back(sequence.request, self.now)

    def _stop_answering(self, sequence: Sequence) -> None:
        length = sequence.length + self.turn - sequence.joined
        del self.answering[sequence]
        self.kv -= length
        if not sequence.reserved:
            self.memory.stops_growing(sequence.length, sequence.joined)
        self.memory.give_back(sequence.reserved or length)

    # Steps

    def start(self, now: float, closing: bool) -> float | None:
        step = self.plan(now, closing)
        if not step.rows:
            return None
        seconds, joules = self.prices.price(step)
        seconds += self.service.overhead_s
        self.run(seconds, joules)
        return seconds

    def plan(self, now: float, closing: bool) -> TextStep:
        """Return what the next step computes, which is nothing where none can start."""
        self.now = now
        self.seen_s, self.seats_kept = inf, 0
        self.step = step = TextStep(self.turn, self.answering, self.kv)
        self.queue.because(QUEUE, now)
        assert self.scheduler.plan is not None
        self.scheduler.plan(self, self._waiting(closing))
        step.kv = self.kv
        if not step.rows and len(self.queue):
            self.queue.because(FORMING, now)
        return step

    def run(self, seconds: float, joules: float, waits: Mapping[str, float] = NONE) -> None:
        """Begin the step that was planned. waits: of `Book.ran`."""
        self.began_s = self.now
        self.memory.grow(self.turn)
        self._note(seconds, joules, waits)

    def _waiting(self, closing: bool) -> Waiting:
        service = self.service
        since_s = self.book.arrival_s[self.queue.oldest] if len(self.queue) else inf
        return Waiting(
            len(self.queue), since_s, self.now, closing, service.max_batch, service.max_wait_s
        )

    def _note(self, seconds: float, joules: float, waits: Mapping[str, float]) -> None:
        now, step, book = self.now, self.step, self.book
        complete, scheduled = len(self.complete), len(self.answering) + len(step.chunks)
        name = "prompts and answers" if step.chunks and self.answering else "answers"
        if step.chunks and not self.answering:
            name = "prompts"
        admitted = len(self.admitted)
        ran = RanStep(self.number, now, seconds, name, step.rows, admitted, len(self.queue))
        book.ran(ran, joules, scheduled - complete, waits)
        book.waited_s[SLOWEST] += seconds * complete
        book.waited_s[QUEUE] += seconds * (admitted - scheduled)

    def finish(self, now: float) -> None:
        self.now = self.ended_s = now
        self.left = 0
        self._answers_grow()
        for chunk in self.step.chunks:
            chunk.sequence.computed += chunk.tokens
            if chunk.sequence.computed == chunk.sequence.length:
                self._begin_answer(chunk.sequence)
        if not self.scheduler.answers_together or len(self.complete) == len(self.answering):
            for sequence in self.complete:
                self._leave(sequence)
            self.complete = []

    def _answers_grow(self) -> None:
        self.kv += len(self.answering)
        self.turn += 1
        while self.ends and self.ends[0][0] <= self.turn:
            turn, _, sequence = heapq.heappop(self.ends)
            if sequence.ends == turn:
                self.complete.append(sequence)

    def _begin_answer(self, sequence: Sequence) -> None:
        """The last chunk of a prompt gives the next token."""
        self.book.first_token(sequence.request, self.now)
        sequence.generated += 1
        sequence.joined = self.turn
        sequence.ends = self.turn + self.outputs[sequence.request] - sequence.generated
        self.answering[sequence] = None
        self.kv += sequence.length
        if not sequence.reserved:
            self.memory.starts_growing(sequence.length, self.turn)
        if sequence.ends == self.turn:
            self.complete.append(sequence)
        else:
            self.joins += 1
            heapq.heappush(self.ends, (sequence.ends, self.joins, sequence))

    def _leave(self, sequence: Sequence) -> None:
        self._stop_answering(sequence)
        self.left += 1
        del self.admitted[sequence]
        self.book.generated.pop(sequence.request, None)
        self.book.finished_s[sequence.request] = self.now
