"""A recipe with ranges turned into an ordinary one: its text with the values in their places.

The text stays the author's own, with comments, order and line ends; only ranges and the `search`
that goes with them are replaced. The result is read again and used only when it says what was
meant; else the entry is written from its data.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Item, Table, Whitespace

from pytest_perfgate.suite.ranges import MARK

_COMMENT = re.compile(r"\s*(?:#.*)?\s*")
_LINE_END = re.compile(r"\r?\n")
_STEP = re.compile(r"steps\[(\d+)\]")


@dataclass(frozen=True)
class Frozen:
    """The outcome.

    Attributes:
        entry: the `[[recipe]]` with values in place of ranges.
        file: the whole file with that entry, "" where the entry cannot be edited in place.
    """

    entry: str
    file: str


def frozen(text: str, name: str, values: Mapping[str, Any], note: str) -> Frozen:
    """The recipe `name` of a suite file with `values`, by their places, in place of its ranges.

    `note` becomes a comment above it. A recipe that is one of several of its table, by its runtime,
    gets a table of its own.

    Raises:
        KeyError: the file has no recipe of that name.
    """
    recipes = tomllib.loads(text)["recipe"]
    for index, raw in enumerate(recipes):
        if raw["name"] == name:
            data = _filled(raw, values)
            edited = _edited(text, index, values, note)
            if edited is not None and _says(edited.file, text, index, data):
                return edited
            return Frozen(_written(data, note), "")
    raw, runtime = _of_several(recipes, name)
    data = _filled({**raw, "name": name, "runtime": runtime}, values)
    return Frozen(_written(data, note), "")


def inline(value: Any) -> Item:
    """A plain value as TOML in one line: tables as inline tables, lists as arrays.

    Raises:
        ValueError: TOML has no such value.
    """
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for key, inner in value.items():
            table.append(tomlkit.key(key), inline(inner))
        return table
    if isinstance(value, (list, tuple)):
        array = tomlkit.array()
        for inner in value:
            array.append(inline(inner))
        return array
    item: Item = tomlkit.item(value)
    return item


def _filled(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The entry's data with the values in their places, and without its `search`."""
    data: dict[str, Any] = copy.deepcopy(dict(raw))
    data.pop(MARK, None)
    for place, value in values.items():
        holder, option = _place(data, place)
        holder[option] = value
    return data


def _place(entry: Any, place: str) -> tuple[Any, str]:
    """What holds the option at `place` of an entry, plain or of tomlkit: `steps[1].samples`,
    `steps[1].trainer_options.warmup`.
    """
    part, *above, option = place.split(".")
    step = _STEP.fullmatch(part)
    holder = entry["steps"][int(step[1])] if step else entry[part]
    for name in above:
        holder = holder[name]
    return holder, option


def _of_several(recipes: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], Any]:
    """The table that makes `name`, one of its runtimes, and that runtime."""
    for raw in recipes:
        for runtime in raw["runtime"] if isinstance(raw.get("runtime"), list) else []:
            label = runtime["name"] if isinstance(runtime, dict) else runtime
            if f"{raw['name']}-{label}" == name:
                return raw, runtime
    raise KeyError(name)


def _written(data: Mapping[str, Any], note: str) -> str:
    """The entry from its data: keys in their order, budgets as a table of their own."""
    entry = tomlkit.table()
    for key, value in data.items():
        if key != "budgets":
            entry.append(tomlkit.key(key), inline(value))
    if data.get("budgets"):
        budgets = tomlkit.table()
        for key, value in data["budgets"].items():
            budgets.append(tomlkit.key(key), inline(value))
        entry.append("budgets", budgets)
    recipes = tomlkit.aot()
    recipes.append(entry)
    document = tomlkit.document()
    document.append("recipe", recipes)
    return f"# {note}\n{tomlkit.dumps(document)}"


def _edited(text: str, index: int, values: Mapping[str, Any], note: str) -> Frozen | None:
    """The author's text with the values in it; None: the entry is no table of its own."""
    document = tomlkit.parse(text)
    recipes = document["recipe"]
    if not isinstance(recipes, AoT):
        return None  # recipe = [{ … }]: there is no line above it for a comment
    entry = recipes[index]
    try:
        for place, value in values.items():
            holder, option = _place(entry, place)
            _replace(holder, option, inline(value))
        if MARK in entry:
            _remove(entry, MARK)
        entry.trivia.indent = f"# {note}\n{entry.trivia.indent}"
        texts = (_alone(entry), tomlkit.dumps(document))
    except (TOMLKitError, KeyError, ValueError):
        return None
    if "\n" not in text.replace("\r\n", ""):  # lines that are new have no carriage return yet
        texts = (_LINE_END.sub("\r\n", texts[0]), _LINE_END.sub("\r\n", texts[1]))
    return Frozen(*texts)


def _replace(holder: Any, option: str, value: Item) -> None:
    """A range that is a table of its own gives way to a line among the keys above it."""
    if isinstance(holder[option], Table):
        _remove(holder, option)
        holder.append(tomlkit.key(option), value)
    else:
        holder[option] = value


def _remove(holder: Any, key: str) -> None:
    """Removes a key; comments at the end of a table belong to what follows it and stay."""
    item = holder[key]
    if not isinstance(item, Table) or item.is_super_table():
        holder.remove(key)
        return
    body = holder.value.body
    place = next(number for number, (name, _) in enumerate(body) if name and name.key == key)
    lines = item.as_string().splitlines(keepends=True)
    end = len(lines)
    while end and _COMMENT.fullmatch(lines[end - 1]):
        end -= 1
    holder.remove(key)
    body[place] = (None, Whitespace("".join(lines[end:])))


def _alone(entry: Table) -> str:
    """The text of one entry; blank lines and comments at its end belong to what follows."""
    recipes = AoT([entry], parsed=True)
    document = tomlkit.document()
    document.append("recipe", recipes)
    lines = tomlkit.dumps(document).splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return "".join(lines).rstrip() + "\n"


def _says(file: str, before: str, index: int, data: Mapping[str, Any]) -> bool:
    """Whether the edited file differs from the file before in that entry alone, as meant."""
    expected = tomllib.loads(before)
    expected["recipe"][index] = data
    try:
        actual = tomllib.loads(file)
    except tomllib.TOMLDecodeError:
        return False
    return _canonical(actual) == _canonical(expected)


def _canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, default=str)
