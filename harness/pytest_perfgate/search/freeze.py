"""A recipe with ranges turned into an ordinary one: its text with the values in their places.

The text is the author's own, comments and all; only ranges and the `search` that goes with them are
replaced. What comes out is read again, and is right when it says what was meant; where it cannot be
had that way, the entry is written from its data.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate.suite.ranges import MARK, is_range

_HEADER = re.compile(r"^[ \t]*\[\[?[^\n]*", re.MULTILINE)
_ENTRY = re.compile(r"^[ \t]*\[\[[ \t]*recipe[ \t]*\]\]", re.MULTILINE)
_SEARCH_KEY = re.compile(r"^[ \t]*search[ \t]*=[ \t]*(?=\{)", re.MULTILINE)
_SEARCH_TABLE = re.compile(r"^[ \t]*\[recipe\.search\][^\n]*\n", re.MULTILINE)
_RANGE = re.compile(r"\{\s*search\s*=\s*(?=\{)")


@dataclass(frozen=True)
class Frozen:
    """The outcome.

    Attributes:
        entry: the `[[recipe]]` as it has to be.
        file: the whole file with the entry in its place, "" where the text does not allow it.
    """

    entry: str
    file: str


def frozen(text: str, name: str, values: Mapping[str, Any], note: str) -> Frozen:
    """The recipe `name` of a suite file with `values`, by their places, in place of its ranges.

    `note` becomes a comment in front of it. A recipe that is one of several of its table, by its
    runtime, gets a table of its own.
    """
    recipes = tomllib.loads(text)["recipe"]
    for index, raw in enumerate(recipes):
        if raw["name"] == name:
            wanted = _filled(raw, values)
            try:
                return _edited(text, index, wanted, note)
            except (ValueError, IndexError):  # TOML can say it in more ways than are known here
                return Frozen(_written(wanted, note), "")
    raw, runtime = _of_several(recipes, name)
    return Frozen(_written(_filled({**raw, "name": name, "runtime": runtime}, values), note), "")


def toml(value: Any) -> str:
    """A plain value as TOML, in one line.

    Raises:
        ValueError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    raise ValueError(f"TOML has no {type(value).__name__}")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)


def _filled(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The entry's data with the values in their places, and without its `search`."""
    found: dict[str, Any] = copy.deepcopy(dict(raw))
    found.pop(MARK, None)
    for place, value in values.items():
        part, _, option = place.partition(".")
        step = re.fullmatch(r"steps\[(\d+)\]", part)
        holder = found["steps"][int(step[1])] if step else found[part]
        holder[option] = value
    return found


def _of_several(recipes: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], Any]:
    """The table that makes `name`, one of its runtimes, and that runtime."""
    for raw in recipes:
        for asked in raw["runtime"] if isinstance(raw.get("runtime"), list) else []:
            runtime = asked["name"] if isinstance(asked, dict) else asked
            if f"{raw['name']}-{runtime}" == name:
                return raw, asked
    raise KeyError(name)


def _written(data: Mapping[str, Any], note: str) -> str:
    """The entry from its data: keys in their order, budgets as a table of their own."""
    lines = [f"# {note}", "[[recipe]]"]
    lines += [f"{_key(key)} = {toml(value)}" for key, value in data.items() if key != "budgets"]
    if data.get("budgets"):
        lines.append("[recipe.budgets]")
        lines += [f"{_key(key)} = {toml(value)}" for key, value in data["budgets"].items()]
    return "\n".join(lines) + "\n"


def _edited(text: str, index: int, wanted: Mapping[str, Any], note: str) -> Frozen:
    """The author's text with values in it.

    Raises:
        ValueError: what comes out does not say what is wanted.
    """
    begin, end = _span(text, index)
    entry = text[begin:end]
    pieces, at = [], 0
    ranges = list(_ranges_of(tomllib.loads(text)["recipe"][index], wanted))
    for (start, stop), value in zip(_places(entry), ranges, strict=True):
        pieces += [entry[at:start], toml(value)]
        at = stop
    entry = f"# {note}\n" + _without_search("".join(pieces) + entry[at:])
    whole = text[:begin] + entry + text[end:]
    before, after = tomllib.loads(text), tomllib.loads(whole)
    before["recipe"][index] = wanted
    if json.dumps(before, default=str) != json.dumps(after, default=str):
        raise ValueError("the text says something else than the values")
    return Frozen(entry.rstrip() + "\n", whole)


def _span(text: str, index: int) -> tuple[int, int]:
    """Where the entry of that number stands, up to the next one."""
    code = _without_strings(text)
    starts = [each.start() for each in _ENTRY.finditer(code)]
    begin = starts[index]
    later = [
        each.start()
        for each in _HEADER.finditer(code)
        if each.start() > begin and not re.match(r"\s*\[\[?\s*recipe\s*\.", each[0])
    ]
    end = min((each for each in later if _outside(code, each)), default=len(text))
    # Comments in front of the next table are its own.
    lines = text[begin:end].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return begin, begin + len("".join(lines))


def _outside(code: str, at: int) -> bool:
    """Whether a line that looks like a table's begins outside of any array."""
    depth = 0
    for sign in code[:at]:
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(sign, 0)
    return depth == 0


def _places(entry: str) -> Iterator[tuple[int, int]]:
    """Where each range of an entry's text stands, in the order of the text."""
    code = _without_strings(entry)
    for found in _RANGE.finditer(code):
        yield found.start(), _closing(code, found.start())


def _without_search(entry: str) -> str:
    """The entry less how long to search."""
    code = _without_strings(entry)
    found = _SEARCH_KEY.search(code)
    if found is not None:
        end = _closing(code, found.end())
        rest = code.find("\n", end)
        end = len(code) if rest < 0 else rest + 1
        return entry[: found.start()] + entry[end:]
    found = _SEARCH_TABLE.search(code)
    if found is not None:
        after = _HEADER.search(code, found.end())
        return entry[: found.start()] + (entry[after.start() :] if after else "")
    return entry


def _closing(code: str, start: int) -> int:
    """Behind the brace that closes the one at `start`."""
    depth = 0
    for at in range(start, len(code)):
        depth += {"{": 1, "}": -1}.get(code[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError("a brace is never closed")


_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)


def _without_strings(text: str) -> str:
    """The text with what stands in strings and comments blanked out; every place stays."""
    return _STRING.sub(lambda found: re.sub(r"[^\n]", "~", found[0]), text)


def _ranges_of(raw: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Any]:
    """The values in place of an entry's ranges, in the order of its text."""
    for key, value in raw.items():
        if key == "steps":
            for step, filled in zip(value, wanted["steps"], strict=True):
                yield from (filled[name] for name, each in step.items() if is_range(each))
        elif key in {"runtime", "workload"} and isinstance(value, dict):
            yield from (wanted[key][name] for name, each in value.items() if is_range(each))
