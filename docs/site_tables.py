"""Tables of the docs, made from the code when the site is built.

A line `{{ options: … }}` or `{{ metrics: … }}` of a page becomes a table:

    options: command line                   options of `pytest --perf`
    options: suite | recipe | budget | …    keys of `recipes.toml`
    options: GROUP NAME                     options of a step, a runtime, a workload, a decoder, a
                                            mask_decoder, a source, or a task's `input` and `output`
    metrics: performance                    metrics of every task
    metrics: GROUP NAME...                  metrics of a task or of workloads
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pytest_perfgate import registry
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.metric import PERFORMANCE, Metric
from pytest_perfgate.plugin.options import OPTIONS
from pytest_perfgate.runtimes.json_answers import OutputField
from pytest_perfgate.suite import tables
from pytest_perfgate.tasks.pixels.network_options import OtherInput
from pytest_perfgate.tasks.tracking.iou_options import IouOptions

GROUPS = {
    "step": registry.STEPS,
    "runtime": registry.RUNTIMES,
    "workload": registry.WORKLOADS,
    "decoder": registry.DECODERS,
    "mask_decoder": registry.MASK_DECODERS,
    "source": registry.SOURCES,
}
FILE_TABLES: dict[str, type[BaseModel]] = {
    "suite": tables.SuiteTable,
    "recipe": tables.RecipeTable,
    "budget": tables.BudgetTable,
    "when": tables.WhenTable,
    "regression": tables.RegressionTable,
    "per_class": tables.PerClassTable,
    "search": tables.SearchTable,
    "range": tables.NumbersTable,
    "choices": tables.ChoicesTable,
    "others": OtherInput,
    "answer": OutputField,
    "state": tables.StateTable,
    "corruptions": tables.CorruptionsTable,
    "tracker": IouOptions,
}
_LINE = re.compile(r"^\{\{ (options|metrics): ([^}\n]+?) \}\}$", re.MULTILINE)


class UnknownTableError(Exception):
    """A page asks for a table that the code does not have."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page: puts tables in place of the lines that ask for them.

    Raises:
        UnknownTableError: it names the line, and ends the build.
    """
    return _LINE.sub(lambda match: table(match[1], match[2]), markdown)


def table(kind: str, name: str) -> str:
    """The Markdown of one table.

    Raises:
        UnknownTableError: nothing has that name.
    """
    try:
        if kind == "metrics":
            return _metrics(_metrics_of(name.split()))
        return _command_line() if name == "command line" else _options(*_model(name.split()))
    except (KeyError, ValueError, RecipeError) as error:
        line = f"{{{{ {kind}: {name} }}}}"
        raise UnknownTableError(f"{line}: {error}") from error


def _model(words: list[str]) -> tuple[type[BaseModel], str]:
    """A model of options, and the field that is written under the step's own name."""
    if len(words) == 1:
        return FILE_TABLES[words[0]], ""
    group, name = words
    if group in {"input", "output"}:
        return getattr(registry.find(registry.TASKS, name), group.capitalize()), ""
    plugin = registry.find(GROUPS[group], name)
    return plugin.Options, plugin.argument if group == "step" else ""


def _options(model: type[BaseModel], argument: str) -> str:
    rows = []
    for name, field in model.model_fields.items():
        text = _sentence(field)
        if name == argument:
            text = f"{text} (written after the step's name)"
        rows.append((f"`{field.alias or name}`", _default(field), text))
    return _table(("key", "default", "meaning"), rows)


def _command_line() -> str:
    rows = []
    for option in OPTIONS:
        value = f"={option.metavar}" if option.metavar else ""
        valid = f"; valid: {', '.join(map(_code, option.choices))}" if option.choices else ""
        default = option.unset or _code(option.default_text)
        rows.append((f"`{option.name}{value}`", default, option.help + valid))
    return _table(("option", "default", "meaning"), rows)


def _metrics_of(words: list[str]) -> Iterable[Metric]:
    if words == ["performance"]:
        return PERFORMANCE.values()
    group, first, *more = words
    registered = {"task": registry.TASKS, "workload": registry.WORKLOADS}[group]
    return [
        metric
        for name in (first, *more)
        for metric in registry.find(registered, name).metrics.values()
    ]


def _metrics(metrics: Iterable[Metric]) -> str:
    rows = [
        (f"`{metric.name}`", str(metric.unit), str(metric.better), str(metric.rule), metric.meaning)
        for metric in metrics
    ]
    return _table(("metric", "unit", "better", "rests on", "meaning"), rows)


def _sentence(field: FieldInfo) -> str:
    """The description, with the valid values where there are few."""
    choices = _choices(field.annotation)
    text = field.description or ""
    return f"{text}; valid: {_listed(choices)}" if len(choices) > 1 else text


def _choices(annotation: Any) -> tuple[object, ...]:
    """The values of a `Literal`, alone or in a union."""
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    return tuple(value for part in typing.get_args(annotation) for value in _choices(part))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined or default == "":
        return ""
    return _code(_toml(default))


def _toml(value: object) -> str:
    """The value as `recipes.toml` has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return "{}" if value == {} else f"{value:g}" if isinstance(value, float) else str(value)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(_code(_toml(value)) for value in values)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
