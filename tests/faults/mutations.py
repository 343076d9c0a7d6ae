"""Seeded damage to texts, to JSON and to bytes."""

from __future__ import annotations

import copy
import json
import re
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 10**18, 1e-300, 1e300, -0.0, 0.5, "", "0", "a", "\x00",
    "\ud800", "../../etc/passwd", "nan", "5%", "60 ms", "1e400 s", "<script>", "a" * 5_000, [],
    [[]], [None], ["a", 1], {}, {"": {}}, {"name": 1}, {"search": {}}, float("nan"), float("inf"),
)  # fmt: skip
"""What takes the place of a value."""

WORDS = (
    "nan", "-inf", "0x" + "f" * 5_001, "9" * 5_001, "1e18", "-1", "0", "''", "'5%'", "'60 ms'",
    "[]", "{}", "[[[[]]]]", "{ search = {} }", "{ search = { low = 0, high = 1, step = 1e-300 } }",
    "{ search = { choices = [1, 1] } }", "true", "1979-05-27T07:32:00Z", "'../../x:y'", "'a:b'",
    "'''a\nb'''", "\x00", "\ufeff", "=", "#", "a.a.a", "[suite]", "[[recipe]]", "\n", "\t", "🐢",
)  # fmt: skip
"""What takes the place of a word in a text."""

_WORD = re.compile(r"[A-Za-z0-9_.%-]+|\"[^\"\n]*\"|[\[\]{}=,]")


def text(random: Random, source: str) -> str:
    """`source` with one to four changes to its words and lines."""
    for _ in range(random.choice((1, 1, 2, 4))):
        source = random.choice((_word, _word, _cut, _line, _character))(random, source)
    return source


def _word(random: Random, source: str) -> str:
    words = list(_WORD.finditer(source))
    if not words:
        return random.choice(WORDS)
    result = random.choice(words)
    other = random.choice(WORDS) if random.random() < 0.7 else random.choice(words)[0]
    return source[: result.start()] + other + source[result.end() :]


def _cut(random: Random, source: str) -> str:
    first, last = sorted(random.randrange(len(source) + 1) for _ in range(2))
    last = min(last, first + 40)
    return source[:first] + source[last:]


def _line(random: Random, source: str) -> str:
    lines = source.splitlines()
    if not lines:
        return source
    line = random.choice(lines)
    if random.random() < 0.5:
        lines.remove(line)
    else:
        lines.insert(random.randrange(len(lines) + 1), line)
    return "\n".join(lines) + "\n"


def _character(random: Random, source: str) -> str:
    place = random.randrange(len(source) + 1)
    return source[:place] + chr(random.choice((*range(128), 0xE9, 0x202E))) + source[place:]


def data(random: Random, source: bytes) -> bytes:
    """`source` with changed, lost or repeated bytes, or cut short."""
    result = bytearray(source)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(result) or 1)
        width = random.choice((1, 1, 2, 4, 16, 200))
        kind = random.randrange(5)
        if kind == 0:
            result[place : place + 1] = random.randbytes(1)
        elif kind == 1:
            result[place : place + width] = random.choice((b"\x00", b"\xff", b"\x80")) * width
        elif kind == 2:
            del result[place : place + width]
        elif kind == 3:
            result[place:place] = result[place : place + width]
        elif random.random() < 0.3:
            del result[place:]
    return bytes(result)


def json_text(random: Random, source: bytes) -> bytes:
    """A JSON text with one to four changed values or keys, or with damaged bytes."""
    if random.random() < 0.15:
        return data(random, source)
    document = json.loads(source)
    for _ in range(random.choice((1, 1, 2, 4))):
        document = _edited(random, document)
    return json.dumps(document).encode()


def _edited(random: Random, document: Any) -> Any:
    places = list(_places(document))
    if not places:
        return random.choice(VALUES)
    container, key = random.choice(places)
    kind = random.randrange(6)
    value = container[key]
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[random.choice(("extra", "", "version", "name"))] = value
    elif kind == 2 and isinstance(container, list):
        container.insert(key, copy.deepcopy(value))
    elif kind == 3:
        other, name = random.choice(places)
        container[key] = copy.deepcopy(other[name]) if name in _keys(other) else None
    elif kind == 4 and isinstance(value, (int, float)) and not isinstance(value, bool):
        container[key] = value * random.choice((-1, 0, 1e-9, 1e9, 1e200))
    else:
        container[key] = copy.deepcopy(random.choice(VALUES))
    return document


def _keys(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))


def _places(document: Any) -> Any:
    """Containers and keys; of long lists the first few entries."""
    waiting = [document]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict):
            keys: list[Any] = list(container)
        elif isinstance(container, list):
            keys = list(range(min(len(container), 6)))
        else:
            continue
        for key in keys:
            yield container, key
            waiting.append(container[key])
