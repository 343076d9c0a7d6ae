"""The file beside a baseline: it gives the paired comparisons that the evaluation itself gives."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.baselines.pairs import joined, split
from pytest_perfgate.baselines.store import Store, read_file, remove
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed, Ratio
from pytest_perfgate.stats.average_precision import Ranked, Table
from pytest_perfgate.verdicts.accuracy_intervals import accuracy_difference

from tests.baselines.test_earlier import STORED
from tests.baselines.test_store import MACHINE, baseline

THRESHOLDS = (0.5, 0.75)


def evaluation(seed: int, images: int = 12, categories: int = 3, detections: int = 60) -> Accuracy:
    """An evaluation with equal scores, ignored detections, and a category without objects."""
    random = np.random.default_rng(seed)
    image = random.integers(0, images, detections)
    category = random.integers(0, categories, detections)
    hits = random.choice([0, 0, 0, 1, 3], detections).astype(np.uint16)
    hits[category == 0] = 0
    ignored = np.where(hits == 0, random.choice([0, 0, 1, 3], detections), 0)
    truth = (random.random((images, categories)) < 0.2).astype(np.int32)
    truth[:, 0] = 0
    np.add.at(truth, (image, category), hits > 0)
    matches = Matches(
        thresholds=THRESHOLDS,
        categories=tuple(f"kind {row}" for row in range(categories)),
        image=Packed.of(image.astype(np.int32)),
        category=Packed.of(category.astype(np.int16)),
        score=Packed.of(np.round(random.random(detections), 1).astype(np.float32)),
        hits=Packed.of(hits),
        ignored=Packed.of(ignored.astype(np.uint16)),
        truth=Packed.of(truth),
        order=Packed.of(random.permutation(images).astype(np.int32)) if seed % 2 else None,
    )
    parts = {
        "agreement": random.integers(0, 9, images).astype(float),
        "score_shift": random.integers(0, 2**20, images) / 2**20,
        "pq": random.random(images),
        "mota": -random.random(images),
    }
    return Accuracy(
        values=dict.fromkeys(("map", *parts), 0.5),
        images=images,
        data_digest="d",
        predictions_digest="p",
        matches=matches,
        ratios={
            name: Ratio(numerator=Packed.of(part), denominator=Packed.of(np.ones(images)))
            for name, part in parts.items()
        },
    )


def ranked(matches: Matches) -> Ranked:
    """Matches, to be scored under weights of their images."""
    table = Table(
        matches.image.array(),
        matches.category.array(),
        matches.score.array(),
        matches.hits.array(),
        matches.truth.array(),
        len(matches.thresholds),
        matches.ignored.array(),
    )
    return Ranked(table, (0, 1))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), detections=st.integers(0, 80), images=st.integers(1, 300))
def test_every_draw_of_images_scores_as_it_did(
    tmp_path_factory: pytest.TempPathFactory, seed: int, detections: int, images: int
) -> None:
    """Average precision of each category is that of the matches whatever images are drawn, ratios
    are the same to the last bit, and what was read is written as the same bytes.
    """
    whole = evaluation(seed, images=images, detections=detections)
    bare, pairs, packed = split(whole, "int8")
    assert pairs is not None
    assert bare.matches is None
    assert not bare.ratios
    folder = tmp_path_factory.mktemp("pairs")
    (folder / pairs.file).write_bytes(packed)
    again = joined(bare, pairs, folder)
    assert again.ratios == whole.ratios
    assert split(again, "int8") == (bare, pairs, packed)
    draws = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), 20).T
    assert whole.matches is not None
    assert again.matches is not None
    orders = [
        side.order.array().tolist() if side.order else None
        for side in (whole.matches, again.matches)
    ]
    assert orders[0] == orders[1]
    np.testing.assert_array_equal(
        ranked(again.matches).score(draws), ranked(whole.matches).score(draws)
    )


def stored(tmp_path: Path, seed: int = 1, recipe: str = "int8") -> Path:
    """A baseline with matches and ratios, in its file."""
    return Store(tmp_path).write(baseline(recipe).model_copy(update={"accuracy": evaluation(seed)}))


def beside(file: Path) -> Path:
    """The file that a baseline names."""
    name: str = json.loads(file.read_text())["pairs"]["file"]
    return file.parent / name


def test_the_json_holds_no_matches(tmp_path: Path) -> None:
    """They are in the file beside it, which is read with it; a baseline of other scores is compared
    as with the evaluation itself.
    """
    file = stored(tmp_path)
    assert file.stat().st_size < 3000
    result = read_file(file).accuracy
    assert result is not None
    for metric in ("map", "pq"):
        own = accuracy_difference(evaluation(2), evaluation(1), metric, 0.1)
        assert accuracy_difference(evaluation(2), result, metric, 0.1) == own
    same = accuracy_difference(
        evaluation(1).model_copy(update={"predictions_digest": "q"}), result, "map", 0.1
    )
    assert same is not None
    assert same.identical


def test_sets_have_files_of_their_own(tmp_path: Path) -> None:
    """Neither ranking nor ratios of a set are in the JSON; each set is compared as with the
    evaluation itself; other images of one set replace its file alone, and one that is damaged is
    named.
    """
    sets = {"night": evaluation(2), "yard": evaluation(3)}
    whole = evaluation(1).model_copy(update={"sets": sets})
    store = Store(tmp_path)
    file = store.write(baseline().model_copy(update={"accuracy": whole}))
    assert file.stat().st_size < 6000
    kept = read_file(file).accuracy
    assert kept is not None
    for name in ("", *sets):
        sides = whole.on(name), kept.on(name)
        differences = [
            accuracy_difference(evaluation(4), side, metric, 0.1)
            for metric in ("map", "pq")
            for side in sides
            if side is not None
        ]
        assert len(differences) == 4
        assert differences[::2] == differences[1::2]
        assert None not in differences
    before = set(file.parent.iterdir())
    changed = whole.with_set("night", evaluation(5))
    store.write(baseline().model_copy(update={"accuracy": changed}))
    after = set(file.parent.iterdir())
    (old,), (new,) = before - after, after - before
    new.write_bytes(old.name.encode())
    with pytest.raises(BaselineError, match=f"{new.name} beside it.*another digest"):
        read_file(file)


def put_in_place(file: Path, packed: bytes, size: int) -> None:
    """Other bytes beside a baseline, under a name and with a size that are right for them."""
    beside(file).unlink()
    data = json.loads(file.read_text())
    name = f"int8.{hashlib.sha256(packed).hexdigest()[:32]}.npz.xz"
    data["pairs"] |= {"file": name, "size": size}
    file.write_text(json.dumps(data))
    file.with_name(name).write_bytes(packed)


def arrays(**values: Any) -> bytes:
    """What `numpy.savez` writes."""
    out = io.BytesIO()
    np.savez(out, **values)
    return out.getvalue()


def damage(file: Path, how: str) -> None:
    """Damages what lies beside a baseline."""
    place = beside(file)
    if how == "gone":
        place.unlink()
    elif how == "cut":
        place.write_bytes(place.read_bytes()[:-40])
    elif how == "flipped":
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 1
        place.write_bytes(content)
    elif how == "elsewhere":
        data = json.loads(file.read_text())
        data["pairs"]["file"] = "../int8" + place.name[4:]
        file.write_text(json.dumps(data))
    elif how == "bomb":
        put_in_place(file, lzma.compress(bytes(10**7)), 1000)
    elif how == "no xz":
        put_in_place(file, b"nothing", 7)
    elif how == "other arrays":
        plain = arrays(a=np.zeros(3))
        put_in_place(file, lzma.compress(plain), len(plain))
    elif how == "objects":
        plain = arrays(a=np.array([{}], dtype=object))
        put_in_place(file, lzma.compress(plain), len(plain))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "No such file"),
        ("cut", "another digest"),
        ("flipped", "another digest"),
        ("elsewhere", "its name is not"),
        ("bomb", "does not unpack to the 1,000 bytes"),
        ("no xz", "does not unpack"),
        ("other arrays", "has no array"),
        ("objects", "Object arrays cannot be loaded"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_both(tmp_path: Path, how: str, said: str) -> None:
    """A recipe is never compared without its pairs: the error names both files, what is wrong, and
    the command; nothing is changed.
    """
    file = stored(tmp_path)
    damage(file, how)
    before = {other: other.read_bytes() for other in file.parent.iterdir()}
    with pytest.raises(BaselineError) as caught:
        Store(tmp_path).read(MACHINE, "demo", "int8")
    name = beside(file).name
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert name in str(caught.value)
    assert "git checkout -- int8.json" in caught.value.next_step
    assert "--perf-update" in caught.value.next_step
    assert {other: other.read_bytes() for other in file.parent.iterdir()} == before


def test_a_basis_that_another_branch_removed_comes_back_by_the_command(tmp_path: Path) -> None:
    """Each branch is right by itself: one updates the reference, whose old file goes; the other
    stores a recipe as its differences to that file. Git merges both without a conflict.
    """

    def git(*arguments: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(words: str) -> None:
        git("add", "-A")
        git("commit", "-q", "-m", words)

    git("init", "-q", "-b", "main")
    reference = stored(tmp_path, recipe="fp32")
    basis = beside(reference)
    kept = basis.read_bytes()
    commit("a reference")
    git("checkout", "-q", "-b", "other")
    basis.unlink()
    commit("another reference")
    git("checkout", "-q", "main")
    (tmp_path / "int8.json").write_text("{}")
    commit("a recipe")
    git("merge", "-q", "other", "-m", "merged")
    assert not basis.exists()
    with pytest.raises(BaselineError) as caught:
        Store(tmp_path).read(MACHINE, "demo", "fp32")
    (command,) = re.findall(r"git checkout \$\(.*?\)\^ -- \S+(?=;)", caught.value.next_step)
    subprocess.run(["sh", "-c", command], cwd=basis.parent, check=True, capture_output=True)
    assert basis.read_bytes() == kept
    assert Store(tmp_path).read(MACHINE, "demo", "fp32") is not None


def test_an_update_removes_the_file_that_it_replaces(tmp_path: Path) -> None:
    """Of this recipe and of no other whose name begins alike; an update that fails removes none."""
    others = [stored(tmp_path, recipe=name) for name in ("int8.b", "int")]
    kept = {place for file in others for place in (file, beside(file))}
    file = stored(tmp_path)
    first = beside(file)
    nameless = baseline("fp32").model_copy(update={"accuracy": evaluation(3), "suite": "demo"})
    (file.parent / "fp32.json").mkdir()  # nothing can be written there
    changed = baseline().model_copy(update={"accuracy": evaluation(2)})
    with pytest.raises(BaselineError, match="cannot be written"):
        Store(tmp_path).write_all([changed, nameless])
    (file.parent / "fp32.json").rmdir()
    assert set(file.parent.iterdir()) == kept | {file, first}
    assert beside(file) == first
    stored(tmp_path, seed=2)
    assert not first.exists()
    assert set(file.parent.iterdir()) == kept | {file, beside(file)}
    remove(file)
    assert set(file.parent.iterdir()) == kept


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Whoever comes last is stored, whole; what others wrote of other recipes stays, and readers
    find a whole baseline at any time.
    """
    stored(tmp_path, 0, "a")
    jobs = [(seed, recipe) for seed in range(5) for recipe in ("a", "b")]
    with ThreadPoolExecutor(5) as pool:
        written = [pool.submit(stored, tmp_path, *job) for job in jobs]
        read = [pool.submit(Store(tmp_path).read, MACHINE, "demo", "a") for _ in range(10)]
        assert all(done.result() for done in written + read)
    files = [tmp_path / MACHINE.id / "demo" / f"{name}.json" for name in ("a", "b")]
    assert all(read_file(file).accuracy for file in files)
    assert set(files[0].parent.iterdir()) == {*files, *map(beside, files)}


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_a_baseline_of_an_earlier_form_moves_its_matches_out(tmp_path: Path, file: Path) -> None:
    """The next update writes it in the new form, and both forms are the same in any comparison."""
    before = read_file(file)
    after = read_file(Store(tmp_path).write(before))
    assert before.accuracy is not None
    assert after.accuracy is not None
    assert after.set_pairs.keys() == before.accuracy.sets.keys()
    for name in ("", *before.accuracy.sets):
        old, new = before.accuracy.on(name), after.accuracy.on(name)
        assert old is not None
        assert new is not None
        assert {key: new.ratios[key] for key in old.ratios} == old.ratios
        one = new.model_copy(update={"predictions_digest": "other"})
        difference = accuracy_difference(one, old, "map", 0.1)
        assert difference is not None
        assert difference.identical


def test_a_zero_with_a_sign_and_whole_numbers_are_the_same_again(tmp_path: Path) -> None:
    """An unchanged recipe differs by exactly nothing from what is stored of it."""
    counts = np.array([3, 0, 2], dtype=np.int64)
    parts = Ratio(numerator=Packed.of(np.array([1.5, -0.0, 0.25])), denominator=Packed.of(counts))
    live = Accuracy(
        values={"gap": 0.35},
        images=3,
        data_digest="d",
        predictions_digest="p",
        ratios={"gap": parts},
    )
    Store(tmp_path).write(baseline().model_copy(update={"accuracy": live}))
    kept = Store(tmp_path).read(MACHINE, "demo", "int8")
    assert kept is not None
    assert kept.accuracy is not None
    difference = accuracy_difference(live, kept.accuracy, "gap", 0.05)
    assert difference is not None
    assert difference.identical


def test_what_another_session_stored_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Two updates that read the same baseline: the second would take the first one back."""
    store = Store(tmp_path)
    store.write(baseline())
    first = store.read(MACHINE, "demo", "int8")
    assert first is not None
    read = {"int8": first}
    ours, theirs = baseline(size=50), baseline(size=60)
    store.write_all([theirs], read=read)
    kept = store.read(MACHINE, "demo", "int8")
    with pytest.raises(BaselineError, match="changed meanwhile, by another session"):
        store.write_all([ours], read=read)
    assert store.read(MACHINE, "demo", "int8") == kept
    assert kept is not None
    assert kept.metrics["artifact_size"].value == 60


def test_matches_that_fit_nothing_stop_the_baselines_before_them(tmp_path: Path) -> None:
    """A category that is not there: one message, and nothing was changed."""
    store = Store(tmp_path)
    store.write(baseline("a"))
    before = {place: place.read_bytes() for place in (tmp_path / MACHINE.id / "demo").iterdir()}
    good = evaluation(1)
    assert good.matches is not None
    category = Packed.of(np.full_like(good.matches.category.array(), 9))
    nonsense = good.model_copy(
        update={"matches": good.matches.model_copy(update={"category": category})}
    )
    broken = baseline("b").model_copy(update={"accuracy": nonsense})
    with pytest.raises(BaselineError, match="nonsense"):
        store.write_all([baseline("a", size=50), broken])
    assert {
        place: place.read_bytes() for place in (tmp_path / MACHINE.id / "demo").iterdir()
    } == before
