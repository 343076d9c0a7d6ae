"""Which modules a module imports, read from its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.building.code_closure import closure

MODULES = {
    "app": "",
    "app.model": "from . import ops\nimport numpy\n",
    "app.ops": "def forward():\n    from ..shared.layers import relu\n",
    "app.data": "from app import model\nimport app.readers\n",
    "app.readers": "",
    "shared": "",
    "shared.layers": "import shared.tables as tables\n",
    "shared.tables": "",
    "lazy": "import importlib\nmodule = importlib.import_module('app.readers')\n",
    "through": "import lazy\n",
    "broken": "def (",
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The sources of `MODULES`, by name; "app" and "shared" are packages below one folder."""
    result = {}
    for name, text in MODULES.items():
        parts = name.split(".")
        place = tmp_path.joinpath("top", *parts)
        file = place / "__init__.py" if name in {"app", "shared"} else place.with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("..shared", "shared"))
        result[name] = file
    return result


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("app.readers", {"app", "app.readers"}),
        ("app.model", {"app", "app.model", "app.ops", "shared", "shared.layers", "shared.tables"}),
        ("shared.layers", {"shared", "shared.layers", "shared.tables"}),
        ("not.there", set()),
    ],
)
def test_imports_are_followed_and_packages_are_run(
    files: dict[str, Path], root: str, expected: set[str]
) -> None:
    """Those of functions too; what is no module of the project is left out."""
    assert closure([root], files) == expected


@pytest.mark.parametrize("root", ["lazy", "through", "broken"])
def test_a_module_that_hides_its_imports_hides_the_closure(
    files: dict[str, Path], root: str
) -> None:
    """Directly, or behind others."""
    assert closure([root], files) is None
