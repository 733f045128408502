"""Profiles as YAML text. Errors name the file, the field, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from condsim.errors import CondsimError
from condsim.files import named_errors, write_whole

M = TypeVar("M", bound=BaseModel)

UNION_TAGS = ("Grid", "Scatter")
"""What pydantic adds to the path of a field that may be one of several models."""
WHOLE_BELOW = 1e6
"""Smaller whole floats are written without a decimal point."""


def read(file: Path) -> dict[str, Any]:
    """The fields in a YAML file. Raises CondsimError: no such file, not YAML, or not a mapping."""
    try:
        fields = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        reason = error.strerror or error
        raise CondsimError(f"cannot read the profile {file}: {reason}") from None
    except UnicodeDecodeError:
        raise CondsimError(f"{file}: not a text file") from None
    except yaml.YAMLError as error:
        raise CondsimError(f"{file}: not valid YAML{_yaml_problem(error)}") from None
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        raise CondsimError(f"{file}: a profile must be a mapping of fields, got {kind}")
    return fields


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
        raise CondsimError(f"{where}: {_broken_rule(error.errors())}") from None


def _broken_rule(errors: list[ErrorDetails]) -> str:
    """The field, the value and the rule of the error that lies deepest, and how many more."""
    deepest = max(errors, key=_depth)
    parts = [str(part) for part in deepest["loc"] if part not in UNION_TAGS]
    field = ".".join(parts) or "profile"
    rule = deepest["msg"].removeprefix("Value error, ")
    value = deepest["input"]
    said = ""
    if deepest["type"] != "missing" and not isinstance(value, (dict, list)):
        said = f"got {value!r}: "
    others = len(errors) - 1
    more = f" (and {others} more)" if others else ""
    return f"{field}: {said}{rule}{more}"


def _depth(error: ErrorDetails) -> int:
    return len(error["loc"])


class _Flow(list[Any]):
    """A list that YAML writes on one line."""


class _FlowDict(dict[str, Any]):
    """A mapping that YAML writes on one line."""


_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
