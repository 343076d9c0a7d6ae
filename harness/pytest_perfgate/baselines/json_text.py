"""The JSON of a baseline, as a person reads its differences: a list of numbers is one line."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(data: dict[str, Any]) -> str:
    """The text of a file, its numbers to seven digits."""
    return _json(_rounded(data), 0) + "\n"


def _rounded(data: Any) -> Any:
    if isinstance(data, float):
        return data if not data % 1 or not math.isfinite(data) else float(f"{data:.7g}")
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return data


def _json(data: Any, depth: int) -> str:
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(data, dict) and data:
        rows = (
            f"{pad}{json.dumps(str(key))}: {_json(value, depth + 1)}" for key, value in data.items()
        )
        return "{\n" + ",\n".join(rows) + f"\n{end}}}"
    if isinstance(data, list) and any(isinstance(item, dict) for item in data):
        return "[\n" + ",\n".join(pad + _json(item, depth + 1) for item in data) + f"\n{end}]"
    return json.dumps(data)
