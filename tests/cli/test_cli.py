"""The command `perfgate`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.cli.main import main
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.suite import reading
from pytest_perfgate.units import Unit

from tests.squares import HEAD, PLAIN, squares_model

MACHINE = Machine(cpu="Test CPU", features=(), cores=2, memory=8, os="Linux")
ENVIRONMENT = Environment(python="3.11.1", kernel="6", packages={})


def stored(recipe: str, suite: str = "example", value: float = 0.01) -> Baseline:
    """A baseline of one recipe."""
    return Baseline(
        suite=suite,
        recipe=recipe,
        recorded="2026-11-20T10:00:00+00:00",
        machine=MACHINE,
        environment=ENVIRONMENT,
        spec="abc",
        metrics={"latency_p50": StoredMetric(unit=Unit.SECONDS, value=value, launches=(value,))},
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project as the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def session(folder: Path, **settings: float) -> Path:
    """A session's file without suites."""
    file = folder / "s.json"
    record = SessionRecord(
        id="s",
        started="2026-11-20T10:00:00+00:00",
        seconds=1.0,
        command="pytest --perf <script>alert(1)</script>",
        machine=MACHINE,
        environment=ENVIRONMENT,
        settings=settings,
    )
    file.write_text(record.model_dump_json(), encoding="utf-8")
    return file


def test_no_command_is_wrong_usage(capsys):
    """Without a command the help is shown and the code is 2."""
    assert main([]) == 2
    assert "baselines" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nonsense"], ["baselines"], ["report"], ["init", "a", "b"]])
def test_wrong_usage_is_two(words):
    """What cannot be understood ends with 2."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_init_writes_a_suite_that_reads_without_a_problem(project, capsys):
    """A fresh project has a readable suite, and is told the next command."""
    assert main(["init"]) == 0
    assert "next: pytest --perf suites/example" in capsys.readouterr().out
    result = reading.read(project / "suites" / "example" / "recipes.toml", project)
    assert (result.suite_problems, dict(result.problems)) == ((), {})
    assert set(result.suite.recipes) == {"fp32", "onnx"}


def test_init_writes_over_nothing(project, capsys):
    """A file that is there keeps its content, and no other one is written."""
    ours = project / "suites" / "example" / "model.py"
    ours.parent.mkdir(parents=True)
    ours.write_text("mine")
    assert main(["init"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert ours.read_text() == "mine"
    assert list(ours.parent.iterdir()) == [ours]


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_the_model_and_data_of_init_fit_together():
    """The written model finds most of the written squares, in a process of its own."""
    pytest.importorskip("torch")
    assert main(["init"]) == 0
    code = (
        "import torch; from suites.example import data, model\n"
        "split = data.validation(); net = model.build()\n"
        "assert not set(split.digests) & set(data.calibration().digests)\n"
        "hit = total = 0\n"
        "for index, image in enumerate(split.images):\n"
        "    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255\n"
        "    boxes, scores = net(x)\n"
        "    kept = {tuple(box.int().tolist()) for box in boxes[0][scores[0, :, 0] > 0.5]}\n"
        "    for a in split.coco['annotations']:\n"
        "        if a['image_id'] == index + 1:\n"
        "            x0, y0, w, h = a['bbox']; total += 1\n"
        "            hit += (x0, y0, x0 + w, y0 + h) in kept\n"
        "assert hit > 0.8 * total, (hit, total)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_test_of_init_is_collected_and_not_measured(project):
    """An ordinary run of pytest in the fresh project is green or skipped, never an error."""
    assert main(["init"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 5}, done.stdout + done.stderr
    assert "error" not in done.stdout.lower()


def test_schema_is_json(capsys):
    """The schema is printed as JSON of the dialect that it names."""
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].endswith("2020-12/schema")
    assert "latency_p95" in json.dumps(schema)


def test_the_command_imports_no_framework():
    """Reading suites and printing the schema loads neither a framework nor numpy."""
    code = (
        "import sys; from pytest_perfgate.cli.main import main; main(['schema'])\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'numpy'} & set(sys.modules)\n"
        "print(heavy, file=sys.stderr); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("project")
def test_doctor_says_what_is_here(capsys):
    """The doctor names the machine and every step, and that no baseline is stored."""
    assert main(["doctor", "--installed"]) == 0
    out = capsys.readouterr().out
    assert "quantize" in out
    assert "baselines 0 for this machine" in out


def test_baselines_are_listed_shown_and_compared(project, capsys):
    """A stored baseline can be found, read and compared with another."""
    store = Store(project / "baselines")
    old, new = store.write(stored("fp32")), store.write(stored("onnx", value=0.02))
    assert main(["baselines", "list"]) == 0
    assert "example/fp32" in capsys.readouterr().out
    assert main(["baselines", "show", "example/onnx"]) == 0
    assert "20.0 ms" in capsys.readouterr().out
    assert main(["baselines", "diff", str(old), str(new)]) == 0
    assert "+100.0 %" in capsys.readouterr().out
    assert main(["baselines", "show", "int8"]) == 1
    assert "example/fp32" in capsys.readouterr().err


def test_metrics_of_an_earlier_session_are_listed_and_shown_with_it(project, capsys):
    """Their number in the list, their day and commit beside each."""
    later = stored("fp32").model_copy(update={"recorded": "2026-11-25T10:00:00+00:00"})
    time = later.metrics["latency_p50"]
    earlier = stored("fp32").model_copy(update={"commit": "a" * 40}).latest
    both = {"metrics": {"latency_p50": time, "latency_p95": time}, "origins": (earlier,)}
    Store(project / "baselines").write(later.model_copy(update=both))
    assert main(["baselines", "list"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("; 1 is of earlier sessions")
    assert main(["baselines", "show", "fp32"]) == 0
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.endswith("of 2026-11-20, commit aaaaaaaaaa")
    assert second.endswith("1 launches")


def test_a_broken_baseline_is_a_problem_without_a_traceback(project, capsys):
    """A truncated file is named, the others are still listed, and the code is 1."""
    store = Store(project / "baselines")
    store.write(stored("fp32"))
    store.write(stored("onnx")).write_text("{")
    assert main(["baselines", "list"]) == 1
    out, err = capsys.readouterr()
    assert "example/fp32" in out
    assert "onnx.json" in err


def test_a_stored_name_controls_no_terminal(project, capsys):
    """Whoever wrote a baseline may have put escapes into it."""
    Store(project / "baselines").write(stored("fp32").model_copy(update={"commit": "\x1b[2J"}))
    assert main(["baselines", "list"]) == 0
    out = capsys.readouterr().out
    assert "example/fp32" in out
    assert "\x1b" not in out


def test_prune_deletes_only_what_is_gone_and_only_when_told(project, capsys):
    """Without --yes nothing is deleted; with it only what no recipe owns."""
    main(["init"])
    files = project / "suites" / "files"  # its model and data are files, not functions
    files.mkdir()
    squares_model(files / "squares.onnx")
    (files / "recipes.toml").write_text(HEAD + PLAIN)
    store = Store(project / "baselines")
    kept, gone = store.write(stored("fp32")), store.write(stored("old"))
    assert main(["baselines", "prune"]) == 0
    assert "would delete" in capsys.readouterr().out
    assert gone.exists()
    assert main(["baselines", "prune", "--yes"]) == 0
    assert (kept.exists(), gone.exists()) == (True, False)


def test_prune_keeps_the_baselines_of_a_suite_in_another_folder(project, capsys):
    """Suites may lie in several folders: what is not below the one is not gone."""
    main(["init"])
    elsewhere = project / "perf" / "face"
    elsewhere.mkdir(parents=True)
    (elsewhere / "recipes.toml").write_text("[suite]\n")
    baseline = stored("fp32").model_copy(update={"suite": "face", "folder": "perf/face"})
    kept = Store(project / "baselines").write(baseline)
    assert main(["baselines", "prune", "--yes"]) == 0
    assert "its suite is in perf/face" in capsys.readouterr().out
    assert kept.exists()
    (elsewhere / "recipes.toml").unlink()
    assert main(["baselines", "prune", "--yes"]) == 0
    assert not kept.exists()


def test_prune_deletes_nothing_while_a_suite_has_errors(project, capsys):
    """A recipe with a typo is not taken for one that is gone."""
    main(["init"])
    file = project / "suites" / "example" / "recipes.toml"
    file.write_text(file.read_text().replace("latency_p50", "latnecy"))
    kept = Store(project / "baselines").write(stored("fp32"))
    assert main(["baselines", "prune", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "cannot be determined" in said
    assert "latnecy" in said
    assert kept.exists()


def test_prune_keeps_the_baselines_of_two_suites_of_one_name(project):
    """Two folders that give the same suite name do not hide each other's recipes."""
    main(["init"])
    text = (project / "suites" / "example" / "recipes.toml").read_text()
    other = project / "suites" / "zoo" / "recipes.toml"
    other.parent.mkdir()
    first, _, _ = text.partition('[[recipe]]\nname    = "onnx"')
    other.write_text(first.replace("[suite]\n", '[suite]\nname = "example"\n'))
    kept = Store(project / "baselines").write(stored("onnx"))
    main(["baselines", "prune", "--yes"])
    assert kept.exists()


def test_a_report_is_made_again_and_escaped(project):
    """The page of a session is written beside it, and text in it is no markup."""
    file = session(project, alpha=0.01, limits=1)
    assert main(["report", str(file)]) == 0
    page = file.with_suffix(".html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("content", ["", "[]", "{", '{"version": 99, "suites": []}'])
def test_a_file_that_is_no_session_is_a_problem(project, capsys, content):
    """A foreign or truncated file ends with 1 and its name."""
    file = project / "s.json"
    file.write_text(content)
    assert main(["report", str(file)]) == 1
    assert "s.json" in capsys.readouterr().err


def test_a_session_without_settings_is_no_traceback(project):
    """A valid session file that names no settings gives a page or a problem."""
    assert main(["report", str(session(project))]) in {0, 1}


def test_a_report_into_a_folder_that_is_not_there_is_a_problem(project, capsys):
    """A page that cannot be written is said so, without a traceback."""
    file = session(project, alpha=0.01, limits=1)
    assert main(["report", str(file), "-o", "none/page.html"]) == 1
    assert "none" in capsys.readouterr().err
