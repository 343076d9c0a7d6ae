"""Names of classes as a data set declares them: a list, a text file, or a data set's YAML."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.image_files import declared_path

NAMES_FILES = (
    "classes.txt",
    "labels.txt",
    "names.txt",
    "class_names.txt",
    "labelmap.txt",
    "obj.names",
)
"""Files in which tools write the names, one a line."""

_VALID = (
    "the names in the order of their numbers: a list, a text file with one in each line, or a YAML "
    "file with names, such as Ultralytics' data.yaml"
)


def declared_classes(source: Mapping[str, Any], folder: Path, root: Path) -> tuple[str, ...]:
    """The names that `classes` of a data set declares.

    Raises:
        DataError: there are none, or two of one name; or their file cannot be read.
    """
    declared, where = source.get("classes"), ""
    if isinstance(declared, str):
        file = declared_path(folder, declared, root)
        where = str(file)
        if is_yaml(file):
            declared = read_yaml(file).get("names")
        else:
            declared = [line.strip() for line in text_lines(file) if line.strip()]
    try:
        return class_names(declared)
    except DataError as error:
        raise error.at(where) from None


def class_names(declared: Any) -> tuple[str, ...]:
    """The names of classes: a list, or a table from each number to its name.

    Raises:
        DataError: they are neither, the numbers have gaps, or two classes have one name.
    """
    if isinstance(declared, Mapping):
        names = {str(key): value for key, value in declared.items()}
        numbers = [str(index) for index in range(len(names))]
        if set(names) != set(numbers):
            raise DataError(
                f"names has the numbers {', '.join(name[:20] for name in list(names)[:8])}",
                valid="0, 1, 2, ... in a row",
            )
        declared = [names[number] for number in numbers]
    if not isinstance(declared, (list, tuple)) or not declared:
        raise DataError(f"classes is {reprlib.repr(declared)}", valid=_VALID)
    for index, name in enumerate(declared):
        if isinstance(name, bool) or not isinstance(name, (str, int)) or not str(name).strip():
            raise DataError(
                f"class {index} has the name {reprlib.repr(name)}",
                valid="a text: YAML reads yes, no, on and off as truth values unless quoted",
            )
    name, count = Counter(map(str, declared)).most_common(1)[0]
    if count > 1:
        raise DataError(f"classes has {name!r} {count} times", valid="each name once")
    return tuple(str(name) for name in declared)


def is_yaml(file: Path) -> bool:
    """Whether a file is read as YAML, by its name."""
    return file.suffix.lower() in (".yaml", ".yml")


def read_yaml(file: Path) -> Mapping[str, Any]:
    """The table in a data set's YAML.

    Raises:
        DataError: it cannot be read, or holds none; or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise DataError(
            "PyYAML is not installed, which reads this file",
            where=str(file),
            next_step="python -m pip install pyyaml; or name a list, or a text file",
        ) from error
    text = "\n".join(text_lines(file))
    try:
        table = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = f"the file is not YAML: {' '.join(str(error).split())[:200]}"
        raise DataError(problem, where=str(file)) from error
    if not isinstance(table, Mapping):
        raise DataError("the file holds no table", where=str(file), valid="names: [...]")
    return table


def text_lines(file: Path) -> list[str]:
    """The lines of a text file: UTF-8, with a byte order mark or without.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"the file cannot be read: {reason}", where=str(file)) from error
