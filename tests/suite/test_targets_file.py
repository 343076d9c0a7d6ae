"""`perfgate.toml`: targets by name, and errors that name the file, the key and what is valid."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.suite.targets_file import FILE, Target, Targets


def test_a_target_is_a_label_a_fingerprint_or_a_host_of_ssh(tmp_path: Path) -> None:
    """Each form is kept with its value; options of an ssh host replace the defaults."""
    (tmp_path / FILE).write_text(
        '[targets.a100]\nmachine = "label:a100"\n'
        '[targets.epyc]\nmachine = "fingerprint:amd-epyc-2c-1a2b3c4d"\n'
        '[targets.jetson]\nmachine = "ssh:me@jetson.local"\npython = "~/env/bin/python"\n'
        '[targets.server]\nmachine = "ssh:server"\nbuild = "there"\n'
    )
    targets = Targets(tmp_path)
    assert targets["a100"] == Target("a100", "label", "a100")
    assert targets["epyc"].value == "amd-epyc-2c-1a2b3c4d"
    assert targets["jetson"] == Target("jetson", "ssh", "me@jetson.local", "env/bin/python")
    assert targets["server"] == Target("server", "ssh", "server", build="there")
    targets.check(("jetson", "a100"), "recipes.toml: suite.targets")


DESK = "[targets.desk]\nmachine = "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[targets", "perfgate.toml: it is not TOML"),
        ("[fleet]", "perfgate.toml: fleet: 'fleet' is not a key of the file"),
        ("[targets.desk]", "perfgate.toml: targets.desk: machine: 'machine' is missing"),
        (DESK + '"desk"', "perfgate.toml: targets.desk.machine: 'desk' names no machine"),
        (DESK + '"ssh:-oProxyCommand=x"', "targets.desk.machine"),
        (DESK + '"ssh:a b"', "targets.desk.machine"),
        (DESK + '"ssh:desk"\nbuild = "both"', "targets.desk: build: "),
        (
            DESK + '"label:a"\npython = "python3"',
            "targets.desk.python: a machine by its label has no python of its own",
        ),
        (DESK + '"ssh:a"\npython = "-c"', "targets.desk.python: '-c' is not a path"),
        ('[targets."a b"]\nmachine = "ssh:a"', "'a b' cannot be a target's name"),
    ],
)
def test_a_wrong_key_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    """What ssh would take for an option never reaches it."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(RecipeError) as raised:
        Targets(tmp_path).check(("desk",), "recipes.toml: suite.targets")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("desc",), "recipes.toml: suite.targets[0]: 'desc' is not a target"),
        (("desk", "desk"), "recipes.toml: suite.targets[1]: 'desk' is there twice"),
    ],
)
def test_a_suite_names_targets_of_the_file(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    """Another name is an error with the known ones, and with the lines to add."""
    (tmp_path / FILE).write_text(DESK + '"label:desk"\n')
    with pytest.raises(RecipeError) as raised:
        Targets(tmp_path).check(names, "recipes.toml: suite.targets")
    assert words in str(raised.value)
    if names == ("desc",):
        assert "did you mean 'desk'?" in str(raised.value)
        assert "[targets.desc]" in raised.value.next_step
