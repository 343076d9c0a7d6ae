"""Pictures of reports, drawn once for all processes of tests: most of the pages of tests have the
same ones, and drawing them takes most of a page's time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_perfgate.files import put


@pytest.fixture(scope="session", autouse=True)
def pictures_drawn_once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Puts a memory in front of the renderer, in a folder that all processes of a run have."""
    import vl_convert

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "pictures"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "vegalite_to_svg", _once(vl_convert.vegalite_to_svg, folder))
        yield


def _once(draw: Callable[[str], str], folder: Path) -> Callable[[str], str]:
    @functools.cache
    def drawn(spec: str) -> str:
        file = folder / hashlib.sha256(spec.encode("utf-8", "surrogatepass")).hexdigest()
        if not file.exists():
            put(file, draw(spec))
        return file.read_text("utf-8")

    return drawn
