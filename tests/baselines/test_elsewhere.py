"""NO BASELINE says what is stored instead: another machine's, another root's, another suite's."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.elsewhere import Here, check_folder, why_none
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.machine.fingerprint import Environment, Gpu, Machine, unlike
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.recipe_spec import spec_digest, spec_of
from pytest_perfgate.suite.reading import read

from tests.baselines.test_store import MACHINE, baseline

SUITE = """\
[suite]
name = "demo"
task = "detection"
model = "model:build"
[suite.data]
validation = "model:data"
[[recipe]]
name = "int8"
runtime = "torch"
"""
NOW = Environment(python="3.11.1", kernel="6", packages={"numpy": "2.0"})
HERE = Here(MACHINE, NOW)


def suite_in(folder: Path, root: Path) -> Suite:
    """A suite of that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipes.toml").write_text(SUITE)
    suite = read(folder / "recipes.toml", root).suite
    assert suite is not None
    return suite


def of(machine: Machine, environment: Environment = NOW, **changed: str) -> Baseline:
    """A baseline of another machine."""
    update = {"machine": machine, "environment": environment, **changed}
    return baseline().model_copy(update=update)


def test_the_nearest_machine_is_named_with_what_differs(tmp_path: Path) -> None:
    """The fewest differences, then the newest; an unreadable one is passed over. Nothing of another
    recipe or suite counts.
    """
    suite, store = suite_in(tmp_path / "suites/demo", tmp_path), Store(tmp_path / "baselines")
    assert why_none(store, suite, "int8", HERE) == ""
    far = MACHINE.model_copy(update={"cpu": "Far CPU", "cores": 64, "os": "Linux 1"})
    near = MACHINE.model_copy(update={"os": "Linux x86_64 debian 12"})
    updated = NOW.model_copy(
        update={"kernel": "7", "packages": {"numpy": "2.1"}, "microcode": "0x2", "quota": "none"}
    )
    (store.root / "broken/demo").mkdir(parents=True)
    (store.root / "broken/demo/int8.json").write_text("{")
    store.write(of(far))
    store.write(of(MACHINE.model_copy(update={"memory": 9}), recipe="fp32"))
    store.write(of(near, updated))
    assert why_none(store, suite, "int8", HERE) == (
        f"the nearest baseline is of {near.id}, and not compared: os Linux x86_64 debian 12 -> "
        "Linux; kernel 7 -> 6; numpy 2.1 -> 2.0"
    )
    many = updated.model_copy(update={"packages": dict.fromkeys("abcdefgh", "1")})
    store.write(of(near, many))
    assert why_none(store, suite, "int8", HERE).endswith(" and 5 more")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu": "Other"}, "CPU Test CPU -> Other"),
        ({"cores": 8}, "cores 2 -> 8"),
        ({"memory": 16}, "memory 8 GiB -> 16 GiB"),
        ({"features": ("avx512f",)}, "CPU without avx2; CPU with avx512f"),
        (
            {"gpus": (Gpu(name="L4", count=2, power_limit=72.0, ecc=True),)},
            "GPUs none -> 2 x L4 (power_limit 72, ecc True)",
        ),
        ({}, ""),
    ],
)
def test_every_field_of_a_fingerprint_is_told(change: dict[str, object], words: str) -> None:
    """Whatever makes two machines differ has words."""
    other = MACHINE.model_copy(update=change)
    assert "; ".join(unlike(MACHINE, other)) == words
    assert bool(words) == (other.id != MACHINE.id)


def test_baselines_of_another_root_are_named_with_the_command(tmp_path: Path) -> None:
    """A service that is measured from the top of its repository, and the other way round."""
    (tmp_path / ".git").mkdir()
    suite = suite_in(tmp_path / "svc/suites/demo", tmp_path)
    Store(tmp_path / "svc/baselines").write(baseline())
    assert why_none(Store(tmp_path / "baselines"), suite, "int8", HERE) == (
        "svc/baselines has a baseline of this machine: start pytest in svc, or pass "
        "--perf-baselines=svc/baselines"
    )
    assert why_none(Store(tmp_path / "svc/baselines"), suite, "other", HERE) == ""
    above = suite_in(tmp_path / "b/suites/demo", tmp_path / "b")
    Store(tmp_path / "baselines").write(baseline())
    assert f"{tmp_path}/baselines has a baseline" in why_none(
        Store(tmp_path / "b/baselines"), above, "int8", HERE
    )


def test_two_suites_of_one_name_do_not_share_baselines(tmp_path: Path) -> None:
    """Refused while the other one is there; a suite that was moved keeps its baselines."""
    ours, other = (tmp_path / name for name in ("b/demo", "a/demo"))
    suite_in(ours, tmp_path)
    check_folder(baseline(), ours, tmp_path)  # of before: its folder was not kept
    stored = of(MACHINE, folder="a/demo")
    check_folder(stored, ours, tmp_path)
    suite_in(other, tmp_path)
    check_folder(stored, other, tmp_path)
    with pytest.raises(BaselineError, match="of the suite in a/demo, which has the name") as raised:
        check_folder(stored, ours, tmp_path)
    assert raised.value.where == "b/demo/recipes.toml"


def test_a_renamed_recipe_is_asked_after(tmp_path: Path) -> None:
    """Where a baseline of this machine has no recipe any more: the one of the same steps and
    runtime, or the only one. Of several others none is named, and no recipe that cannot be read.
    """
    suite, store = suite_in(tmp_path / "suites/demo", tmp_path), Store(tmp_path / "baselines")
    spec = spec_digest(RecipeRecord(name="int8", reference="", spec=spec_of(suite.recipes["int8"])))
    store.write(of(MACHINE, recipe="first", spec="0"))
    hint = "renamed? 'first' has a baseline of this machine"
    assert why_none(store, suite, "int8", HERE).startswith(hint)
    store.write(of(MACHINE, recipe="second", spec="1"))
    assert why_none(store, suite, "int8", HERE) == ""
    store.write(of(MACHINE, recipe="same", spec=spec))
    text = why_none(store, suite, "int8", HERE)
    assert text.endswith("pytest-perfgate baselines rename demo/same int8")
    unread = SUITE + '[[recipe]]\nname = "same"\nruntime = "torhc"\n'
    (suite.folder / "recipes.toml").write_text(unread)
    assert "same" not in why_none(store, suite, "int8", HERE)
