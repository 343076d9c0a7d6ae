"""Files beside baselines that are differences to the whole file of a reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.baselines.columns import floats, of_floats
from pytest_perfgate.baselines.pairs import Basis, names_in, split
from pytest_perfgate.baselines.ranking_differences import differences, ranking_from
from pytest_perfgate.baselines.store import Store, read_file, remove
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.records.accuracy import Accuracy, Packed
from pytest_perfgate.records.ranking import ranking_of

from tests.baselines.test_pairs import beside, damage, evaluation
from tests.baselines.test_store import MACHINE, baseline


def moved(whole: Accuracy, seed: int) -> Accuracy:
    """An evaluation of another recipe on the same objects: detections that come and go, and others
    in another place or with other marks.
    """
    random = np.random.default_rng(seed)
    matches = whole.matches
    assert matches is not None
    columns = {
        name: getattr(matches, name).array().copy()
        for name in ("image", "category", "score", "hits", "ignored")
    }
    count = len(columns["score"])
    columns["score"] += np.round(random.normal(0, 0.1, count), 1).astype(np.float32)
    columns["hits"][random.random(count) < 0.1] &= 1
    columns["ignored"] = (
        np.where(random.random(count) < 0.1, 2, columns["ignored"]).astype(np.uint16)
        & ~columns["hits"]
    )
    kept = random.random(count) < 0.9
    misses = np.repeat(np.flatnonzero(columns["hits"] == 0)[:5], 2)  # new to the other side
    rows = np.concatenate([np.flatnonzero(kept), misses])
    ratios = dict(whole.ratios)
    parts = ratios["agreement"].numerator.array() + random.integers(-1, 2, whole.images)
    ratios["agreement"] = ratios["agreement"].model_copy(update={"numerator": Packed.of(parts)})
    packed = {name: Packed.of(column[rows]) for name, column in columns.items()}
    return whole.model_copy(update={"matches": matches.model_copy(update=packed), "ratios": ratios})


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), detections=st.integers(0, 80), images=st.integers(1, 300))
def test_differences_to_a_basis_are_the_whole(seed: int, detections: int, images: int) -> None:
    """The ranking that is made of a basis and the differences is the very one that was stored, in
    both directions, and so are ratios; a file is never larger than a whole one.
    """
    one = evaluation(seed, images=images, detections=detections)
    other = moved(one, seed)
    assert one.matches is not None
    assert other.matches is not None
    for own, theirs in ((one, other), (other, one), (one, one)):
        rankings = [ranking_of(side.matches) for side in (own, theirs) if side.matches]
        again = ranking_from(differences(*rankings), rankings[1])
        assert again.equals(rankings[0])
        np.testing.assert_array_equal(again.run, rankings[0].run)
        _, whole, _ = split(theirs, "fp32")
        assert whole is not None
        _, pairs, less = split(own, "int8", Basis(whole, theirs))
        assert pairs is not None
        assert len(less) <= len(split(own, "int8")[2])
        assert pairs.basis in {"", whole.file}
    for name in ("agreement", "score_shift", "pq", "mota"):
        values, basis = (side.ratios[name].numerator.array() for side in (one, other))
        for before in (basis, None, basis[:-1]):
            arrays = of_floats(name, values, before)
            np.testing.assert_array_equal(floats(arrays, name, before), values)


def suite_of(tmp_path: Path, seed: int = 1) -> tuple[Path, Path]:
    """The files of a reference and of a recipe whose file is the differences to it."""
    whole = evaluation(seed, images=200, detections=2000)
    of_recipe = baseline().model_copy(update={"accuracy": moved(whole, seed), "reference": "fp32"})
    reference = baseline("fp32").model_copy(update={"accuracy": whole})
    store = Store(tmp_path)
    store.write_all([of_recipe, reference])
    return (store.path(MACHINE.id, "demo", "fp32"), store.path(MACHINE.id, "demo", "int8"))


def basis_of(file: Path) -> str:
    """The file that a baseline's differences are to, "" for none."""
    name: str = json.loads(file.read_text())["pairs"].get("basis", "")
    return name


def test_a_recipe_is_stored_as_differences_to_its_reference(tmp_path: Path) -> None:
    """It takes a part of the bytes, is read as what was stored, and written again as the same
    bytes, with the reference and without. A basis is kept as long as a baseline names it, also
    when the reference's own was replaced or deleted.
    """
    reference, recipe = suite_of(tmp_path)
    first = beside(reference)
    assert basis_of(recipe) == first.name
    assert not basis_of(reference)
    assert beside(recipe).stat().st_size < 0.5 * first.stat().st_size
    kept = read_file(recipe)
    own = moved(evaluation(1, images=200, detections=2000), 1)
    assert kept.accuracy is not None
    assert kept.accuracy.matches is not None
    assert own.matches is not None
    assert ranking_of(kept.accuracy.matches).equals(ranking_of(own.matches))
    assert kept.accuracy.ratios == own.ratios
    before = {file: file.read_bytes() for file in recipe.parent.iterdir()}
    store = Store(tmp_path)
    store.write(kept)
    store.write_all([kept, read_file(reference)])
    assert {file: file.read_bytes() for file in recipe.parent.iterdir()} == before

    store.write(baseline("fp32").model_copy(update={"accuracy": evaluation(3)}))
    assert read_file(recipe) == kept
    assert set(recipe.parent.iterdir()) == {*before, beside(reference)}
    remove(reference)
    assert read_file(recipe) == kept
    store.write(kept)  # there is no reference: it is whole
    assert set(recipe.parent.iterdir()) == {recipe, beside(recipe)}
    assert not basis_of(recipe)
    assert read_file(recipe).accuracy == kept.accuracy


def test_files_of_other_images_are_whole(tmp_path: Path) -> None:
    """A reference with other objects is no basis, and neither is one that cannot be read."""
    reference, recipe = suite_of(tmp_path)
    kept = read_file(recipe)
    store = Store(tmp_path)
    store.write(baseline("fp32").model_copy(update={"accuracy": evaluation(3)}))
    store.write(kept)
    assert not basis_of(recipe)
    reference.write_text("{")
    store.write(kept)
    assert not basis_of(recipe)
    assert read_file(recipe).accuracy == kept.accuracy


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_damaged_basis_is_an_error_that_names_it(tmp_path: Path, how: str) -> None:
    """With the file of the recipe, its JSON, what is wrong, and the command."""
    reference, recipe = suite_of(tmp_path)
    basis = beside(reference)
    damage(reference, how)
    with pytest.raises(BaselineError, match=f"its basis {basis.name} beside it: ") as caught:
        read_file(recipe)
    assert beside(recipe).name in str(caught.value)
    assert f"{beside(recipe).name} {basis.name} in their folder" in caught.value.next_step


@pytest.mark.parametrize("name", ["größe", 'a "b" c', "π\\d"])
def test_a_file_is_known_by_any_name(name: str) -> None:
    """Names are found in JSON as it escapes them: a file that is named is never removed."""
    file = f"{name}.{'0' * 32}.npz.xz"
    for ascii_alone in (False, True):
        text = json.dumps({"pairs": {"file": file, "basis": ""}}, ensure_ascii=ascii_alone)
        assert names_in(text.encode()) == {file}
