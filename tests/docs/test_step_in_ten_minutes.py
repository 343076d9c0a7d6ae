"""The page "A step in ten minutes", followed to the letter."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("hatchling", reason="python -m pip install hatchling")

PAGE = Path(__file__).parents[2] / "docs" / "step_in_ten_minutes.md"


@pytest.mark.slow
def test_the_page_leads_to_a_step_that_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is written, each command run, and the sessions end as the page says. The package
    goes into a folder of its own, from no index.
    """
    for name, value in {
        "PIP_TARGET": str(tmp_path / "site"),
        "PYTHONPATH": str(tmp_path / "site"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: without isolation
        "TMPDIR": str(tmp_path),  # a lock of its own: no time is asked for
    }.items():
        monkeypatch.setenv(name, value)
    project = tmp_path / "project"
    project.mkdir()
    printed = [_do(project, *part) for part in _parts(PAGE.read_text())]
    ran = [text for text in printed if text]
    assert len(ran) == 4, "the page has other commands than this test reads"
    promises = re.findall(r"(?:ends|fails) with `([^`]+)`", PAGE.read_text())
    assert len(promises) == 2
    for promise, text in zip(promises, ran[2:], strict=True):
        assert promise in " ".join(text.split())


def _parts(page: str) -> list[tuple[str, str]]:
    """Files of the page as name and text, and its commands as "" and text, in order."""
    blocks = r"(?:`([^`\n]+)`:\n\n)?```(\w+)\n(.*?)```"
    return [
        ("" if kind == "sh" else name, text)
        for name, kind, text in re.findall(blocks, page, re.DOTALL)
        if name or kind == "sh"
    ]


def _do(project: Path, name: str, text: str) -> str:
    """Writes a file, or runs commands and gives what they print."""
    if name:
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return ""
    ran = subprocess.run(
        ["sh", "-euc", text], cwd=project, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout or "nothing"
