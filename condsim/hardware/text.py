"""Profiles as YAML text. Errors name the file, the field, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from condsim.errors import CondsimError, shown
from condsim.files import named_errors, write_whole
from condsim.untrusted import MEBIBYTE, broken_rule

M = TypeVar("M", bound=BaseModel)

MOST_BYTES = 2 * MEBIBYTE
"""Of a profile."""
MOST_VALUES = 1_000_000
"""In a profile, every text and number counted as often as it is referred to."""
MOST_LEVELS = 20
"""Of lists and mappings in each other."""
WHOLE_BELOW = 1e6
"""Smaller whole floats are written without a decimal point."""


def read(file: Path, what: str = "profile") -> dict[str, Any]:
    """The fields in a YAML file. what: it is of, for the error.

    Raises CondsimError: no such file, not YAML, a key that stands twice, too large, or not a
    mapping.
    """
    return parsed(text_of(file, what), file, what)


def parsed(text: str, file: Path, what: str = "profile") -> dict[str, Any]:
    """The fields in the text of a YAML file. what: as of `read`, whose errors it raises."""
    try:
        fields = yaml.load(text, Loader=_ProfileLoader)
    except yaml.YAMLError as error:
        raise CondsimError(f"{file}: not valid YAML{_yaml_problem(error)}") from None
    except CondsimError:
        raise
    except Exception as error:  # a number of 5,000 digits, a date that is none, ...
        raise CondsimError(f"{file}: a value in it cannot be read ({error})") from None
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        raise CondsimError(f"{file}: a {what} must be a mapping of fields, got {kind}")
    _check_plain(fields, file, what)
    return fields


def text_of(file: Path, what: str = "profile") -> str:
    """What a file holds. Raises CondsimError where that cannot be read, or is no short text."""
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise CondsimError(f"{file} is not a file")  # a pipe would be waited for
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or error
        raise CondsimError(f"cannot read the {what} {file}: {reason}") from None
    if len(content) > MOST_BYTES:
        raise CondsimError(f"{file} is larger than {MOST_BYTES // MEBIBYTE} MiB: not a {what}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise CondsimError(f"{file}: not a text file") from None


def _check_plain(fields: dict[str, Any], file: Path, what: str) -> None:
    """Raises CondsimError where fields are too many, too deep in each other, or of other types.

    An alias stands for all that it refers to, so a short text may have any number of values.
    """
    level: list[Any] = [fields]
    seen = 0
    for _ in range(MOST_LEVELS):
        inside: list[Any] = []
        for value in level:
            held = [*value, *value.values()] if isinstance(value, dict) else value
            seen += len(held)
            if seen > MOST_VALUES:
                raise CondsimError(f"{file} has more than {MOST_VALUES:,} values: not a {what}")
            inside += [each for each in held if isinstance(each, (dict, list))]
            for each in held:
                if not isinstance(each, (str, int, float, dict, list, type(None))):
                    raise CondsimError(f"{file}: {shown(each)} is neither a text nor a number")
        if not inside:
            return
        level = inside
    raise CondsimError(f"{file} has more than {MOST_LEVELS} levels: not a {what}")


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Where and why a text is not YAML."""
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}" if mark else ""
    problem = getattr(error, "problem", None) or "cannot be parsed"
    return f"{place}: {problem}"


def write(fields: dict[str, Any], target: Path) -> Path:
    """Write fields as YAML, whole or not at all.

    Raises CondsimError where the file cannot be written.
    """
    with named_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.dump(
        _compact(fields), Dumper=_ProfileDumper, sort_keys=False, width=160, allow_unicode=True
    )
    return write_whole(target, text)


def validated(model: type[M], fields: Mapping[str, Any], where: str) -> M:
    """Make a model of fields.

    where: whose fields they are, for the error. Raises CondsimError: where, the field, the value
    and the rule.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise CondsimError(f"{where}: {broken_rule(error)}") from None


class _Flow(list[Any]):
    """A list that YAML writes on one line."""


class _FlowDict(dict[str, Any]):
    """A mapping that YAML writes on one line."""


_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _ProfileLoader(_Loader):  # type: ignore[misc]
    """A key stands once in a mapping."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if len(set(map(str, keys))) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(
                problem=f"the key {shown(twice)} stands twice", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


class _ProfileDumper(_Dumper):  # type: ignore[misc]
    """Numbers as Python writes them, so that a profile reads back the same."""


def _represent_float(dumper: Any, value: float) -> Any:
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _represent_flow(dumper: Any, value: _Flow) -> Any:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


def _represent_flow_dict(dumper: Any, value: _FlowDict) -> Any:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)


_ProfileDumper.add_representer(float, _represent_float)
_ProfileDumper.add_representer(_Flow, _represent_flow)
_ProfileDumper.add_representer(_FlowDict, _represent_flow_dict)


def _compact(value: Any) -> Any:
    """Lists of numbers and quantities on one line; whole floats without a decimal point."""
    if isinstance(value, dict):
        fields = {}
        for key, field in value.items():
            if field != {}:
                fields[key] = _compact(field)
        return _FlowDict(fields) if "basis" in fields else fields
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, tuple)):
            return [_compact(item) for item in value]
        return _Flow(value)
    if isinstance(value, float) and _is_small_and_whole(value):
        return int(value)
    return value


def _is_small_and_whole(value: float) -> bool:
    return math.isfinite(value) and value.is_integer() and abs(value) < WHOLE_BELOW
