"""A small project whose recipes rest on much, and edits of all that they rest on.

Each recipe is really read once, by processes of its own whose reads are watched as those of workers
are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path

from pytest_perfgate.building import input_digests
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.earlier import EarlierSuite
from pytest_perfgate.records.input_messages import InputsRead
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.session.affected import Affected, Selection
from pytest_perfgate.session.inputs_now import Host, InputsNow
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.metrics import metrics_of

BASE = Commit("main", "b" * 40, Path(), "")
MACHINE = Machine(cpu="c", features=(), cores=2, memory=8, os="Linux")
ENVIRONMENT = Environment(python="3.12", kernel="6", packages={"onnxruntime": "1.30"})
DATA = {"validation": "1", "calibration": "2"}
ALL = frozenset({"plain", "int8", "other"})
LINE = frozenset({"plain", "int8"})

RECIPES = """
[suite]
task = "detection"
model = "suites.a.model:build"
data = { validation = "suites.a.data:validation", calibration = "suites.a.data:calibration" }

[[recipe]]
name = "plain"
runtime = { name = "torch", threads = 1 }
[recipe.budgets]
map = { min = 0.5 }

[[recipe]]
name = "int8"
from = "plain"
runtime = { name = "torch", threads = 2 }
[recipe.budgets]
map = { drop = 0.01 }

[[recipe]]
name = "other"
runtime = { name = "torch", threads = 3 }
[recipe.budgets]
map = { min = 0.4 }
"""

SOURCES = {
    "suites/__init__.py": "",
    "suites/a/__init__.py": "",
    "suites/a/model.py": "from suites.a import indirect\nindirect.build()\n",
    "suites/a/indirect.py": "import os\nfrom pathlib import Path\n\n\ndef build():\n"
    "    for name in sorted(os.listdir('configs')):\n        Path('configs', name).read_text()\n"
    "    try:\n        Path('optional.json').read_text()\n"
    "    except FileNotFoundError:\n        pass\n",
    "suites/a/weights.npz": "native loaders open it",
    "suites/a/decoder.py": "def decode():\n    from suites.a import lazy\n    lazy.decode()\n",
    "suites/a/lazy.py": "from pathlib import Path\n\n\ndef decode():\n"
    "    Path('thresholds.txt').read_text()\n",
    "suites/b/__init__.py": "",
    "pyproject.toml": "",
    "suites/b/runtime.py": "import os\nfrom pathlib import Path\n"
    "Path('pyproject.toml').read_text()\n"
    "Path(os.environ['PYTEST_MOUNT']).read_text()\n",
    "configs/one.yaml": "1",
    "thresholds.txt": "0.5",
    "README.md": "",
    "suites/a/recipes.toml": RECIPES,
}
"""`model` is imported to build `plain`, and so `int8`, whose turns call `decode` beside; `other` is
built by `runtime` alone."""

READER = """
import importlib, json, sys
from pathlib import Path
from pytest_perfgate.building.project_code import Watch
watch = Watch(Path.cwd())
sys.path.insert(0, str(Path.cwd()))
for name in sys.argv[1:]:
    module, _, function = name.partition(":")
    module = importlib.import_module(module)
    if function:
        getattr(module, function)()
print(json.dumps([{**watch.beside(), **watch.files()}, list(watch.names())]))
"""


@dataclass
class Project:
    """A project on the disk, and where it runs."""

    root: Path
    suite: Suite
    host: Host
    earlier: EarlierSuite
    data: dict[str, str]
    machine: Machine = MACHINE
    environment: Environment = ENVIRONMENT
    rounds: int = 32

    def read(self, name: str) -> str:
        """The text of a file of it."""
        return (self.root / name).read_text()

    def write(self, name: str, text: str) -> None:
        """Writes a file of it."""
        (self.root / name).write_text(text)

    def now(self, started: float = 0.0) -> InputsNow:
        """What its recipes rest on."""
        chosen = replace(for_command(self.root, "pytest"), rounds=self.rounds)
        return InputsNow(
            suite_of(self.root), chosen, self.machine, self.environment, started, self.host
        )

    def selection(self, *stored: EarlierSuite) -> Affected:
        """What is measured, where these sessions are stored."""

        def find(text: str) -> list[EarlierSuite]:
            return [one for one in stored if text in {one.commit, one.session}]

        def data_now(_: Iterable[str]) -> Mapping[str, str]:
            return self.data

        suite = suite_of(self.root)
        selection = Selection(suite, self.now(), BASE, find, data_now)
        return selection.of({name: ["map"] for name in suite.recipes}, metrics(), self.machine)

    def affected(self) -> frozenset[str]:
        """The recipes that are measured, of those that the stored session measured."""
        return frozenset(self.selection(self.earlier).wanted) & ALL


def metrics() -> Mapping[str, Metric]:
    """Those of the task."""
    return metrics_of("detection")


def suite_of(root: Path) -> Suite:
    """The suite as its file is now."""
    suite = reading.read(root / "suites/a/recipes.toml", root).suite
    assert suite is not None
    return suite


def packages_of(site: Path) -> Callable[[], dict[str, str]]:
    """The distributions that are installed into a folder."""
    return lambda: input_digests.versions_of(distributions(path=[str(site)]))


def install(site: Path, version: str, record: str) -> None:
    """A distribution, in place of the one before."""
    for old in site.glob("*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    folder = site / f"fastops-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fastops\nVersion: {version}\n")
    (folder / "RECORD").write_text(f"fastops.py,sha256={record},9\n")


def reads(root: Path, mount: Path, *names: str) -> tuple[dict[str, str], frozenset[str]]:
    """What a process reads that imports modules and calls functions: with digests, and names."""
    temporary = root.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-B", "-c", READER, *names],
        cwd=root,
        # What lies in the temporary folder is no input, nor is a variable of pytest's.
        env=os.environ | {"PYTEST_MOUNT": str(mount), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )
    digests, listed = json.loads(done.stdout)
    return digests, frozenset(listed)


def measured_project(folder: Path) -> Project:
    """A project after the session of its base."""
    root, site, tool, mount = (folder / name for name in ("project", "site", "tool", "mount.txt"))
    for name, text in SOURCES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    install(site, "1.0", "aaa")
    tool.mkdir()
    (tool / "arm.py").write_text("")
    mount.write_text("outside the project")
    time.sleep(0.02)  # the file system's clock is coarse
    started = time.time()
    host = Host(
        {"OMP_PLACES": "cores", "GITHUB_RUN_ID": "1", "HF_TOKEN": "secret"},
        packages_of(site),
        lambda: input_digests.program_in(tool, "0.1"),
    )
    suite = suite_of(root)
    made = Project(root, suite, host, EarlierSuite("s", "", "", "a", None), dict(DATA))  # type: ignore[arg-type] # filled in below
    now = made.now(started)
    plain, _ = reads(root, mount, "suites.a.model")
    _, turns = reads(root, mount, "suites.a.decoder:decode")
    other, _ = reads(root, mount, "suites.b.runtime")
    read = {
        "plain": InputsRead(plain, frozenset(), {"validation": "1"}),
        "int8": InputsRead(plain, turns, dict(DATA)),
        "other": InputsRead(other, frozenset(), {"validation": "1"}),
    }
    recipes = {name: now.recorded(suite.recipes[name], read[name]) for name in read}
    assert all(recipes.values())
    made.earlier = EarlierSuite(
        session="20261101-000000",
        started="2026-11-01T00:00:00+00:00",
        commit=BASE.commit,
        name=suite.name,
        inputs=now.of_suite(),
        recipes={name: inputs for name, inputs in recipes.items() if inputs is not None},
        references={recipe.name: recipe.reference for recipe in suite.recipes.values()},
        statuses=dict.fromkeys(((name, "map") for name in ALL), Status.PASS),
    )
    return made


def appended(name: str) -> Callable[[Project], None]:
    """Another content of a file of the project."""
    return lambda project: project.write(name, project.read(name) + "\n# edited\n")


def replaced(before: str, after: str) -> Callable[[Project], None]:
    """An edit of the suite file."""

    def edit(project: Project) -> None:
        text = project.read("suites/a/recipes.toml")
        assert before in text
        project.write("suites/a/recipes.toml", text.replace(before, after))

    return edit


def new(name: str) -> Callable[[Project], None]:
    """A file that was not there."""
    return lambda project: project.write(name, "")


def site_of(project: Project) -> Path:
    """Where its packages are."""
    return project.root.parent / "site"


def environ(name: str, value: str) -> Callable[[Project], None]:
    """Another environment variable."""

    def edit(project: Project) -> None:
        project.host = replace(project.host, environ={**project.host.environ, name: value})

    return edit


def changed(name: str, value: object) -> Callable[[Project], None]:
    """Another machine, environment or setting."""
    return lambda project: setattr(project, name, value)


def data(split: str) -> Callable[[Project], None]:
    """Other images or annotations."""
    return lambda project: project.data.update({split: "another"})


EDITS: dict[str, tuple[Callable[[Project], None], frozenset[str]]] = {
    "a module that is imported": (appended("suites/a/model.py"), LINE),
    "a module that is imported indirectly": (appended("suites/a/indirect.py"), LINE),
    "weights beside a module, opened by native code": (appended("suites/a/weights.npz"), LINE),
    "a file that is opened": (appended("configs/one.yaml"), LINE),
    "a file in a folder that is listed": (new("configs/two.yaml"), LINE),
    "a file that was looked for and not there": (new("optional.json"), LINE),
    "a module beside imported ones": (new("suites/a/json.py"), LINE),
    "a module that shadows a package": (new("json.py"), ALL),
    "a module of timed turns": (appended("suites/a/decoder.py"), frozenset({"int8"})),
    "a lazily imported module": (appended("suites/a/lazy.py"), frozenset({"int8"})),
    "a side file of timed turns": (appended("thresholds.txt"), frozenset({"int8"})),
    "the runtime's file": (appended("suites/b/runtime.py"), frozenset({"other"})),
    "a pyproject.toml that the project's code reads": (
        appended("pyproject.toml"),
        frozenset({"other"}),
    ),
    "a file outside the project": (
        lambda project: project.write("../mount.txt", "edited"),
        frozenset({"other"}),
    ),
    "a package's version": (lambda project: install(site_of(project), "1.1", "aaa"), ALL),
    "a package built anew": (lambda project: install(site_of(project), "1.0", "bbb"), ALL),
    "this project": (
        lambda project: project.write("../tool/arm.py", "1"),
        ALL,
    ),
    "a parent's option": (replaced("threads = 1", "threads = 4"), LINE),
    "a recipe's option": (replaced("threads = 2", "threads = 4"), frozenset({"int8"})),
    "a budget": (replaced("drop = 0.01", "drop = 0.02"), frozenset({"int8"})),
    "a reference's budget": (replaced("min = 0.5", "min = 0.6"), LINE),
    "the suite": (replaced('task = "detection"', 'task = "detection"\nbatch = 3'), ALL),
    "the validation images": (data("validation"), ALL),
    "the calibration images": (data("calibration"), frozenset({"int8"})),
    "an environment variable": (environ("OMP_PLACES", "threads"), ALL),
    "a new environment variable": (environ("ORT_FLAGS", "1"), ALL),
    "the machine": (changed("machine", MACHINE.model_copy(update={"cores": 4})), ALL),
    "the kernel": (changed("environment", ENVIRONMENT.model_copy(update={"kernel": "7"})), ALL),
    "a timing setting": (changed("rounds", 16), ALL),
}
"""What recipes rest on: an edit, and the recipes that it can touch."""


def files(*names: str) -> Callable[[Project], None]:
    """Files that nothing reads, in folders that may be new."""

    def edit(project: Project) -> None:
        for name in names:
            (project.root / name).parent.mkdir(exist_ok=True)
            project.write(name, "")

    return edit


def one_more_recipe(project: Project) -> None:
    """At the end of the suite file."""
    more = '\n[[recipe]]\nname = "more"\nfrom = "plain"\nruntime = "torch"\n'
    project.write("suites/a/recipes.toml", project.read("suites/a/recipes.toml") + more)


HARMLESS: dict[str, Callable[[Project], None]] = {
    "the README": appended("README.md"),
    "a report": files("reports/x.json"),
    "a new suite": files("suites/c/__init__.py", "suites/c/model.py"),
    "the same content, written anew": lambda project: project.write(
        "suites/a/lazy.py", project.read("suites/a/lazy.py")
    ),
    "the number of the CI run": environ("GITHUB_RUN_ID", "2"),
    "a credential": environ("HF_TOKEN", "another"),
    "one more recipe": one_more_recipe,
}


def undo(project: Project, kept: Mapping[str, object]) -> None:
    """The project as it was, on the disk and around it."""
    for file in list(project.root.rglob("*")):
        name = file.relative_to(project.root).as_posix()
        if file.is_file() and name not in SOURCES:
            file.unlink()
    for name, text in SOURCES.items():
        if project.read(name) != text:
            project.write(name, text)
    (project.root.parent / "mount.txt").write_text("outside the project")
    (project.root.parent / "tool" / "arm.py").write_text("")
    install(site_of(project), "1.0", "aaa")
    project.data = dict(DATA)
    vars(project).update(kept)
