"""A recipe with ranges becomes an ordinary one in its author's own text, whatever TOML it uses."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.search.freeze import frozen, inline

HEAD = '[suite]\ntask = "detection"\n\n[[recipe]]\nname = "fp32"  # first\n\n# of the recipe\n'
TAIL = '\n# of the next\n[[recipe]]  # next\nname = "last"\n'
RANGE = "{ search = { low = 8, high = 64 } }"

SHAPES = {
    "inline tables": (
        f"""[[recipe]]
name = "r"  # its name
steps = [{{ export = "onnx" }}, {{ quantize = "static", samples = {RANGE} }}]  # two
search = {{ trials = 3 }}  # enough
[recipe.budgets]
map = {{ drop = 0.1 }}
""",
        """[[recipe]]
name = "r"  # its name
steps = [{ export = "onnx" }, { quantize = "static", samples = 16 }]  # two
[recipe.budgets]
map = { drop = 0.1 }
""",
    ),
    "an array over several lines": (
        f"""[[recipe]]
name = "r"
steps = [
    {{ export = "onnx" }},  # one
    # two
    {{ quantize = "static", samples = {RANGE} }},
]
search = {{ trials = 3 }}
""",
        """[[recipe]]
name = "r"
steps = [
    { export = "onnx" },  # one
    # two
    { quantize = "static", samples = 16 },
]
""",
    ),
    "arrays of tables": (
        f"""[[recipe]]
name = "r"
[[recipe.steps]]
export = "onnx"
[[recipe.steps]]
quantize = "static"
samples = {RANGE}  # of images
[recipe.search]
trials = 3
""",
        """[[recipe]]
name = "r"
[[recipe.steps]]
export = "onnx"
[[recipe.steps]]
quantize = "static"
samples = 16  # of images
""",
    ),
    "dotted keys": (
        """[[recipe]]
name = "r"
runtime.name = "onnxruntime"
runtime.threads.search.low = 8
runtime.threads.search.high = 64
search.trials = 3
budgets.map.drop = 0.1
""",
        """[[recipe]]
name = "r"
runtime.name = "onnxruntime"
runtime.threads = 16
budgets.map.drop = 0.1
""",
    ),
    "a table for each": (
        """[[recipe]]
name = "r"
[recipe.runtime]
name = "onnxruntime"
[recipe.runtime.threads]
search = { low = 8, high = 64 }
[recipe.search]
trials = 3
# of the budgets
[recipe.budgets]
map = { drop = 0.1 }
""",
        """[[recipe]]
name = "r"
[recipe.runtime]
name = "onnxruntime"
threads = 16
# of the budgets
[recipe.budgets]
map = { drop = 0.1 }
""",
    ),
    "a range within an option": (
        f"""[[recipe]]
name = "r"
steps = [
    {{ export = "onnx" }},
    {{ finetune = 9, trainer_options = {{ mosaic = true, warmup = {RANGE} }} }},  # brief
]
search = {{ trials = 3 }}
""",
        """[[recipe]]
name = "r"
steps = [
    { export = "onnx" },
    { finetune = 9, trainer_options = { mosaic = true, warmup = 16 } },  # brief
]
""",
    ),
    "quoted keys, and text like TOML": (
        """[[recipe]]
"name" = "r"
steps = [{ quantize = "{ search = { } } # [[recipe]]", "samples" = { "search" = { low = 8 } } }]
"search" = { trials = 3 }
""",
        """[[recipe]]
"name" = "r"
steps = [{ quantize = "{ search = { } } # [[recipe]]", "samples" = 16 }]
""",
    ),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("shape", SHAPES)
def test_only_ranges_and_the_search_are_replaced(shape: str, end: str) -> None:
    """Comments, order, spaces and line ends stay; a note stands above the entry."""
    before, after = SHAPES[shape]
    place = "runtime.threads" if "runtime" in before else "steps[1].samples"
    if "quoted" in shape:
        place = "steps[0].samples"
    if "within" in shape:
        place = "steps[1].trainer_options.warmup"
    text = (HEAD + before + TAIL).replace("\n", end)
    outcome = frozen(text, "r", {place: 16}, "Found by a search.")
    note = "# Found by a search.\n"
    assert outcome.entry == (note + after).replace("\n", end)
    assert outcome.file == (HEAD + note + after + TAIL).replace("\n", end)


def test_an_entry_that_is_no_table_of_its_own_is_written_from_its_data() -> None:
    """`recipe = [{ … }]` has no line for the note: an entry to copy, and no file."""
    text = f'recipe = [{{ name = "r", steps = [{{ samples = {RANGE} }}], search = {{}} }}]\n'
    outcome = frozen(text, "r", {"steps[0].samples": 16}, "Found.")
    assert outcome.file == ""
    assert tomllib.loads(outcome.entry) == {"recipe": [{"name": "r", "steps": [{"samples": 16}]}]}


@given(
    st.recursive(
        st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
)
def test_what_is_written_is_read_again(value: Any) -> None:
    """TOML's own reader gives the value back, of the same type."""
    text = tomlkit.dumps({"x": inline(value)})
    assert repr(tomllib.loads(text)["x"]) == repr(value)
