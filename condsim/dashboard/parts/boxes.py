"""Boxes that a link fills, and what they hold when the trace or the device changes.

One rule for every box of the sidebar and of the pages: what was chosen stays as long as it can be
had. A box whose value is gone shows its default, and says so; a box that shows its default follows
it. The address names what is not the default, so that a link shows the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import streamlit as st

from condsim.errors import unknown
from condsim.show.escape import markdown

T = TypeVar("T")
BOUND: Literal["query-params"] = "query-params"
USUAL, PROBLEMS = "usual values", "problems of the address"
"""Names in the session: key → the default that its box had last, key → what the address asked in
vain."""


class Values(Protocol):
    """What a box may hold. usual: its default."""

    @property
    def usual(self) -> Any: ...

    def problem(self, words: Sequence[str]) -> str:
        """Why an address must not ask for these words; empty where it may."""

    def fitted(self, value: Any) -> Any:
        """The value where it can be had, else what the box shows instead."""

    def words(self, value: Any) -> list[str]:
        """How an address names a value; nothing for the default."""


@dataclass(frozen=True)
class OneOf:
    """One of some options. text: how the browser and the address name an option."""

    name: str
    options: Sequence[Any]
    usual: Any
    text: Callable[[Any], str] = str

    def problem(self, words: Sequence[str]) -> str:
        """Why an address must not ask for these words; empty where it may."""
        known = [self.text(option) for option in self.options]
        return "" if words[-1] in known else str(unknown(self.name, words[-1], known))

    def fitted(self, value: Any) -> Any:
        """The value where it can be had, else the default."""
        return value if value in self.options else self.usual

    def words(self, value: Any) -> list[str]:
        """How an address names a value; nothing for the default."""
        return [] if value == self.usual else [self.text(value)]


@dataclass(frozen=True)
class SomeOf:
    """Any number of some options, in the order in which they are chosen."""

    name: str
    options: Sequence[Any]
    usual: Sequence[Any]
    text: Callable[[Any], str] = str

    def problem(self, words: Sequence[str]) -> str:
        """Why an address must not ask for these words; empty where it may."""
        known = [self.text(option) for option in self.options]
        foreign = [word for word in words if word and word not in known]
        return str(unknown(self.name, foreign[0], known)) if foreign else ""

    def fitted(self, value: Sequence[Any]) -> list[Any]:
        """What can still be had of the value, the default where nothing can."""
        left = [item for item in value if item in self.options]
        return left if left or not value else list(self.usual)

    def words(self, value: Sequence[Any]) -> list[str]:
        """How an address names a value; nothing for the default."""
        if list(value) == list(self.usual):
            return []
        return [self.text(item) for item in value] or [""]


@dataclass(frozen=True)
class Number:
    """A number. usual: None where the box may be empty. whole: no fractions."""

    name: str
    usual: float | None
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def problem(self, words: Sequence[str]) -> str:
        """Why an address must not ask for these words; empty where it may."""
        word = words[-1]
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if self.fitted(number) == number:
            return ""
        kind = "a whole number" if self.whole else "a number"
        return f"{self.name} {word}; it takes {kind}{self._range()}"

    def _range(self) -> str:
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f" from {self.low:g} to {self.high:g}"
        return f" of at least {self.low:g}" if math.isfinite(self.low) else ""

    def fitted(self, value: float | None) -> float | None:
        """The value where it can be had, else the default."""
        if value is None or not math.isfinite(value):
            return self.usual
        is_whole = not self.whole or value == int(value)
        return value if is_whole and self.low <= value <= self.high else self.usual

    def words(self, value: float | None) -> list[str]:
        """How an address names a value; nothing for the default."""
        if value is None or value == self.usual:
            return []
        return [str(int(value)) if value == int(value) else str(value)]


@dataclass(frozen=True)
class Written:
    """Text as it was typed."""

    usual: str = ""

    def problem(self, words: Sequence[str]) -> str:
        """Any text may be asked for; the page says what is wrong with it."""
        return ""

    def fitted(self, value: str) -> str:
        """The text."""
        return value

    def words(self, value: str) -> list[str]:
        """How an address names a value; nothing for the default."""
        return [] if value == self.usual else [value]


@dataclass(frozen=True)
class Ticked:
    """Yes or no."""

    name: str
    usual: bool = False

    def problem(self, words: Sequence[str]) -> str:
        """Why an address must not ask for these words; empty where it may."""
        known = ("true", "false")
        return "" if words[-1].lower() in known else str(unknown(self.name, words[-1], known))

    def fitted(self, value: bool) -> bool:
        """The value."""
        return value

    def words(self, value: bool) -> list[str]:
        """How an address names a value; nothing for the default."""
        return [] if value == self.usual else [str(value).lower()]


# What a box holds before it is drawn


def settle(key: str, values: Values) -> None:
    """Give a box what it is to hold, by the rule above. It is drawn next, under the same key."""
    usual_before = st.session_state.setdefault(USUAL, {})
    drawn_before = key in usual_before
    if not drawn_before:
        _check_address(key, values)
    _say_problem(key)
    if drawn_before and key in st.session_state:
        _follow(key, values, usual_before[key])
    usual_before[key] = values.usual


def absent(key: str, why: str) -> None:
    """Say that a box which an address names is not here."""
    drawn_before = key in st.session_state.get(USUAL, {})
    if key in st.query_params and not drawn_before:
        _refuse(key, why)
    _say_problem(key)


def is_asked_for(key: str) -> bool:
    """Whether the address names a box, in vain or not."""
    return key in st.query_params or key in st.session_state.get(PROBLEMS, {})


def forget_problems() -> None:
    """At the end of a run: what was wrong with the address has been said."""
    st.session_state.pop(PROBLEMS, None)


def _check_address(key: str, values: Values) -> None:
    """Take out of the address what it asks for in vain."""
    words = st.query_params.get_all(key)
    problem = values.problem(words) if words else ""
    if problem:
        _refuse(key, problem)


def _refuse(key: str, problem: str) -> None:
    """Run the page again without this part of the address: a box would take some of it."""
    st.session_state.setdefault(PROBLEMS, {})[key] = problem
    del st.query_params[key]
    st.rerun()


def _say_problem(key: str) -> None:
    problem = st.session_state.get(PROBLEMS, {}).get(key)
    if problem:
        end = "" if problem.endswith("?") else "."
        st.warning(f"The link names {markdown(problem)}{end} Showing the default instead.")


def _follow(key: str, values: Values, usual_before: Any) -> None:
    """Keep what was chosen, or show the default. usual_before: the default of the last run."""
    held = st.session_state[key]
    wanted = values.usual if held == usual_before else values.fitted(held)
    if wanted != held and held != usual_before:
        said = f"{key}: {held} cannot be had here; showing {wanted} instead."
        st.warning(markdown(said))
    if wanted != held or st.query_params.get_all(key) != values.words(wanted):
        st.session_state[key] = wanted  # the address follows what is set here


# Boxes


def one_of(
    label: str,
    options: Sequence[T],
    usual: T,
    key: str,
    text: Callable[[Any], str] = str,
    **look: Any,
) -> T:
    """A list of which one option is chosen. look: further arguments of `st.selectbox`."""
    settle(key, OneOf(key, options, usual, text))
    index = options.index(usual)
    chosen: T = st.selectbox(label, options, index, key=key, bind=BOUND, format_func=text, **look)
    return chosen


def one_of_few(label: str, options: Sequence[str], key: str, **look: Any) -> str:
    """Options beside each other, the first at first. look: of `st.segmented_control`."""
    settle(key, OneOf(key, options, options[0]))
    chosen = st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind=BOUND, **look
    )
    return chosen or options[0]


def on_a_slider(
    label: str, options: Sequence[T], usual: T, key: str, text: Callable[[Any], str], **look: Any
) -> T:
    """One of some options in order, on a slider. look: of `st.select_slider`."""
    settle(key, OneOf(key, options, usual, text))
    chosen: T = st.select_slider(
        label, options, value=usual, key=key, bind=BOUND, format_func=text, **look
    )
    return chosen


def some_of(
    label: str, options: Sequence[T], usual: Sequence[T], key: str, text: Callable[[Any], str] = str
) -> list[T]:
    """A list of which any number of options is chosen."""
    settle(key, SomeOf(key, options, list(usual), text))
    return st.multiselect(
        label, options, default=list(usual), key=key, bind=BOUND, format_func=text
    )


def some_of_few(
    label: str, options: Sequence[str], key: str, text: Callable[[Any], str] = str, **look: Any
) -> list[str]:
    """Options beside each other, none chosen at first. look: further arguments of `st.pills`."""
    settle(key, SomeOf(key, options, [], text))
    return st.pills(
        label, options, selection_mode="multi", key=key, bind=BOUND, format_func=text, **look
    )


def whole_number(label: str, low: int, high: int, usual: int, key: str, **look: Any) -> int:
    """A whole number. look: further arguments of `st.number_input`."""
    settle(key, Number(key, usual, low, high, whole=True))
    return int(st.number_input(label, low, high, usual, key=key, bind=BOUND, **look))


def number(
    label: str, key: str, low: float | None = None, usual: float | None = None, **look: Any
) -> float | None:
    """A number. usual: None where the box is empty at first. look: of `st.number_input`."""
    least = -math.inf if low is None else low
    settle(key, Number(key, usual, least))
    chosen: float | None = st.number_input(label, low, value=usual, key=key, bind=BOUND, **look)
    return chosen


def text(label: str, key: str, **look: Any) -> str:
    """Text. look: further arguments of `st.text_input`."""
    settle(key, Written())
    typed: str = st.text_input(label, key=key, bind=BOUND, **look)
    return typed


def ticked(label: str, key: str) -> bool:
    """A box to tick."""
    settle(key, Ticked(key))
    return st.checkbox(label, key=key, bind=BOUND)


def switched(label: str, key: str) -> bool:
    """A switch."""
    settle(key, Ticked(key))
    return st.toggle(label, key=key, bind=BOUND)
