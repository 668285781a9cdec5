"""What is wrong in a preset, said in the words of its file: line, key, value, what is allowed."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_HEADER = re.compile(r"^\s*\[\s*([\w.\-]+)\s*\]")
_ASSIGNMENT = re.compile(r"^\s*([\w.\-]+)\s*=")


def explain(error: ValidationError, *, model: type[BaseModel], text: str, source: Path) -> str:
    """One sentence a mistake, a line each: ``file, line 7: key = value … allowed``.

    ``text`` is the TOML that was validated against ``model``, ``source`` the file it came from.
    """
    return ";\n".join(_explain_one(each, model, text, source) for each in error.errors())


def line_of(text: str, key: tuple[str, ...]) -> int | None:
    """Line (from 1) where TOML ``text`` sets ``key``, else its table's, else None.

    Knows table headers and dotted keys; what sits inside an inline table has that table's line.
    """
    best: tuple[int, int] | None = None  # parts of the key that match, line
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            here = table = tuple(header[1].split("."))
        elif assignment := _ASSIGNMENT.match(line):
            here = (*table, *assignment[1].split("."))
        else:
            continue
        if here == key[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _explain_one(error: ErrorDetails, model: type[BaseModel], text: str, source: Path) -> str:
    key, table, field = _locate(error["loc"], model)
    kind, context = error["type"], error.get("ctx", {})
    if kind.startswith("union_tag"):
        key = (*key, "kind")
        allowed = context.get("expected_tags") or _tags(field)
        problem = f"{_dotted(key)} is missing"
        if kind == "union_tag_invalid":
            near = difflib.get_close_matches(context["tag"], re.findall(r"[\w-]+", allowed), n=1)
            problem = f'{_dotted(key)} = "{context["tag"]}" is not allowed{_did_you_mean(near)}'
        problem += f"; it must be one of {allowed}"
    elif kind == "extra_forbidden":
        names = list(table.model_fields)
        near = difflib.get_close_matches(key[-1], names, n=1)
        problem = f"{_dotted(key)} is not a known key{_did_you_mean(near)}"
        problem += f"; {_where(key)} takes {', '.join(names)}"
    elif kind == "missing":
        problem = f"{_dotted(key)} is missing; it must be {_allowed(field, error)}"
    else:
        value = _as_toml(error["input"])
        problem = f"{_dotted(key)} = {value} is not allowed; it must be {_allowed(field, error)}"
    line = line_of(text, key)
    return f"{source}{f', line {line}' if line else ''}: {problem}"


def _locate(
    loc: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[tuple[str, ...], type[BaseModel], FieldInfo | None]:
    """Key in the file, the table that it is in, and its field, for a place that pydantic names.

    Pydantic puts the tag of a discriminated union into the place; the file has no such level.
    """
    key: list[str] = []
    field: FieldInfo | None = None
    parts = [str(part) for part in loc]
    for depth, part in enumerate(parts):
        members = _members(field)
        if depth and part in members:
            model, field = members[part], None
            continue
        if table := _table(field):
            model = table
        key.append(part)
        field = model.model_fields.get(part)
    return tuple(key), model, field


def _table(field: FieldInfo | None) -> type[BaseModel] | None:
    """The table that a field holds, also where it may be left out."""
    kinds = (field.annotation, *get_args(field.annotation)) if field is not None else ()
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _members(field: FieldInfo | None) -> dict[str, type[BaseModel]]:
    """Tables of a field that is a union told apart by ``kind``, by that kind; else nothing."""
    if field is None or field.discriminator != "kind":
        return {}
    return {
        get_args(member.model_fields["kind"].annotation)[0]: member
        for member in get_args(field.annotation)
    }


def _tags(field: FieldInfo | None) -> str:
    return ", ".join(f"'{tag}'" for tag in _members(field))


def _allowed(field: FieldInfo | None, error: ErrorDetails) -> str:
    if field is not None and field.description:
        return field.description
    return "a table of keys" if error["type"].startswith("model") else error["msg"]


def _did_you_mean(near: list[str]) -> str:
    return f' (did you mean "{near[0]}"?)' if near else ""


def _where(key: tuple[str, ...]) -> str:
    return f"[{'.'.join(key[:-1])}]" if key[:-1] else "a preset"


def _dotted(key: tuple[str, ...]) -> str:
    return ".".join(key)


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str | Path) else str(value)
