"""Profiles as YAML text. Errors name the file, the field, the value and the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from condsim.errors import CondsimError
from condsim.files import named_errors, write_whole

M = TypeVar("M", bound=BaseModel)


def read(file: Path) -> dict[str, Any]:
    """The fields in a YAML file. Raises CondsimError: no such file, not YAML, or not a mapping."""
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as e:
        raise CondsimError(f"cannot read the profile {file}: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise CondsimError(f"{file}: not a text file") from None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise CondsimError(
            f"{file}: not valid YAML{where}: {getattr(e, 'problem', None) or 'cannot be parsed'}"
        ) from None
    if not isinstance(data, dict):
        raise CondsimError(
            f"{file}: a profile must be a mapping of fields, got {type(data).__name__}"
        )
    return data


def write(fields: dict[str, Any], target: Path) -> Path:
    """Write fields as YAML, whole or not at all. Raises CondsimError where it cannot be written."""
    with named_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(
        target,
        yaml.dump(_compact(fields), Dumper=_Dumper, sort_keys=False, width=160, allow_unicode=True),
    )


def validated(model: type[M], data: Mapping[str, Any], where: str) -> M:
    """Make a model of fields. Raises CondsimError: where, the field, the value and the rule."""
    try:
        return model.model_validate(data)
    except ValidationError as e:
        errors = e.errors()
        first = min(errors, key=lambda x: -len(x["loc"])) if len(errors) > 1 else errors[0]
        field = (
            ".".join(str(part) for part in first["loc"] if part not in ("Grid", "Scatter"))
            or "profile"
        )
        value = first["input"]
        rule = first["msg"].removeprefix("Value error, ")
        shown = (
            ""
            if first["type"] == "missing" or isinstance(value, (dict, list))
            else f" got {value!r}: "
        )
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CondsimError(f"{where}: {field}:{shown or ' '}{rule}{more}") from None


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
    return dumper.represent_scalar(
        "tag:yaml.org,2002:float",
        text if "e" not in text or "." in text else text.replace("e", ".0e"),
    )


_ProfileDumper.add_representer(float, _represent_float)
_ProfileDumper.add_representer(
    _Flow, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True)
)
_ProfileDumper.add_representer(
    _FlowDict, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v, flow_style=True)
)
_Dumper = _ProfileDumper


def _compact(value: Any) -> Any:
    """Lists of numbers and quantities on one line; whole floats as they are."""
    if isinstance(value, dict):
        plain = {k: _compact(v) for k, v in value.items() if v != {}}
        return _FlowDict(plain) if "basis" in plain else plain
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, tuple)):
            return [_compact(v) for v in value]
        return _Flow(value)
    if (
        isinstance(value, float)
        and math.isfinite(value)
        and value.is_integer()
        and abs(value) < 1e6
    ):
        return int(value)
    return value
