"""The package keeps to its own rules: layers, plugins apart from one another, public names, what loads when, sizes."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tunesmith

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tunesmith.__file__).parent
PLUGIN_FOLDERS = ("tasks", "adapters", "engines", "exports", "commands")
HEAVY = ("torch", "transformers", "numpy", "pyarrow", "sklearn", "scipy", "matplotlib", "peft", "accelerate")
MOST_LINES, MOST_FUNCTION_LINES = 400, 70


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path, *, in_functions: bool = True) -> Iterator[tuple[str, int]]:
    """Modules of the package that a file imports when it runs, with the line; imports for types alone are left out."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not in_functions:
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = (node.module or "").split(".")
            if base[0] == "tunesmith":
                names = (".".join([*base[1:], alias.name]) for alias in node.names)
                yield from (
                    (name if name in MODULES else ".".join(base[1:]) or "__init__", node.lineno) for name in names
                )
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name.removeprefix("tunesmith."), node.lineno)
                for alias in node.names
                if alias.name.startswith("tunesmith.")
            )


def layers() -> dict[str, int]:
    """The table in ARCHITECTURE.md: name of a module or a folder to its layer."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", text, flags=re.MULTILINE)
    return {name: int(number) for number, names in rows for name in re.findall(r"`([\w.]+)`", names)}


LAYERS = layers()


def layer_of(module: str) -> int:
    fits = [name for name in LAYERS if module == name or module.startswith(f"{name}.")]
    assert fits, f"{module} has no layer in ARCHITECTURE.md"
    return LAYERS[max(fits, key=len)]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    for imported, line in imports(MODULES[module]):
        assert layer_of(imported) <= layer_of(module), (
            f"{MODULES[module]}:{line} imports {imported} from a higher layer"
        )


def test_the_table_of_layers_names_what_is_there() -> None:
    folders = {name.rpartition(".")[0] for name in MODULES}
    assert set(LAYERS) <= set(MODULES) | folders
    assert max(LAYERS.values()) > 5


def test_imports_have_no_cycles() -> None:
    graph = {name: {found for found, _ in imports(path, in_functions=False)} for name, path in MODULES.items()}
    clean: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"cycle: {' -> '.join([*above[above.index(name) :], name])}"
        if name not in clean:
            for imported in graph.get(name, ()):
                visit(imported, (*above, name))
            clean.add(name)

    for name in graph:
        visit(name, ())


def test_the_reader_of_imports_sees_them(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        "import tunesmith.errors\nfrom tunesmith import params, UsageError\nfrom tunesmith.data import read\n"
        "if TYPE_CHECKING:\n    from tunesmith.train import run\ndef f():\n    from tunesmith.data.read import find\n"
    )
    assert sorted(imports(file)) == [("__init__", 2), ("data.read", 3), ("data.read", 7), ("errors", 1), ("params", 2)]
    assert ("data.read", 7) not in list(imports(file, in_functions=False))


@pytest.mark.parametrize("folder", PLUGIN_FOLDERS)
def test_plugins_do_not_know_one_another(folder: str) -> None:
    for path in (PACKAGE / folder).glob("*.py"):
        siblings = {name for name, _ in imports(path) if name.startswith(f"{folder}.")}
        assert siblings <= {f"{folder}.base"}, path


def test_public_names_are_exported() -> None:
    body = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    defined = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imported = {
        alias.name
        for node in body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunesmith.")
        for alias in node.names
    }
    assert sorted(tunesmith.__all__) == sorted(name for name in defined | imported if not name.startswith("_"))
    assert all(callable(getattr(tunesmith, name)) for name in tunesmith.__all__)


def run_python(code: str, path: Path = PACKAGE.parent) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "action",
    [
        "import tunesmith",
        "from tunesmith.cli import main; main(['--help'])",
        "from tunesmith.cli import main; main(['train', '--adapter', 'lora', '--help'])",
        "from tunesmith.cli import main; main(['train', 'a.csv', '--train.epochs', '-1'])",
        "from tunesmith import plugins; [plugins.module(k, n) for k in ('tasks', 'adapters') for n in plugins.names(k)]",
        "from tunesmith import plugins; [plugins.module(k, n) for k in ('engines', 'exports', 'commands') for n in plugins.names(k)]",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(action: str) -> None:
    printed = run_python(f"import sys\n{action}\nprint()\nprint([name for name in {HEAVY!r} if name in sys.modules])")
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_are_short(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) < MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines < MOST_FUNCTION_LINES, f"{module}.{node.name} has {lines} lines"


# one file is a plugin

TOY = '''"""A toy that answers with the length of a text."""

from __future__ import annotations

from tunesmith import params
from tunesmith.params import Range, param
from tunesmith.tasks import text_classification
from tunesmith.tasks.text_classification import Columns as Columns


class Params(text_classification.Params):
    """How the toy learns."""

    bounce: float = param(0.5, "How high it bounces.", ge=0, le=1, search=Range(0.2, 0.8))


class Request(params.Params):
    """What a caller may ask of the toy."""

    loudness: int = param(3, "How loud it squeaks.", ge=0, le=11)


class Task(text_classification.Task):
    """The toy."""

    options: Params
'''


@pytest.fixture(scope="module")
def with_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one more file in ``tasks/``."""
    source = tmp_path_factory.mktemp("copy") / "src"
    shutil.copytree(PACKAGE, source / "tunesmith", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "tunesmith" / "tasks" / "toy_task.py").write_text(TOY, encoding="utf-8")
    return source


def test_a_dropped_in_task_is_in_the_help(with_toy: Path) -> None:
    code = "from tunesmith.cli import main; main(['--help']); main(['train', '--task', 'toy-task', '--help']); main(['predict', '-h'])"
    printed = run_python(code, with_toy)
    assert re.search(r"^tasks: .*\btoy-task\b", printed, flags=re.MULTILINE)
    assert "--task.bounce" in printed
    assert "--loudness" in printed


def test_a_dropped_in_task_is_in_the_reference(with_toy: Path) -> None:
    code = "import json; from docs import generate; print(json.dumps([generate.pages(), generate.tree()]))"
    pages, tree = json.loads(run_python(code, with_toy))
    assert "A toy that answers with the length of a text." in pages["plugins.md"]
    row = next(line for line in pages["parameters.md"].splitlines() if "`--task.bounce`" in line)
    assert "`TUNESMITH_TASK_BOUNCE` | number >= 0 and <= 1 | `0.5` | 0.2 to 0.8 | How high it bounces. |" in row
    assert "`--request.loudness`" in pages["parameters.md"]
    assert re.search(r"^    toy_task\.py +A toy", tree, flags=re.MULTILINE)


def test_a_dropped_in_task_is_in_the_schema_and_the_search_space(with_toy: Path) -> None:
    code = (
        "import json; from tunesmith import config, params; group = config.class_for('toy-task', 'full');"
        "space = {leaf.path: str(leaf.search) for leaf in params.leaves(group) if leaf.search};"
        "print(json.dumps([params.schema(group), space]))"
    )
    schema, space = json.loads(run_python(code, with_toy))
    rows = {name: row for part in schema["$defs"].values() for name, row in part["properties"].items()}
    assert rows["bounce"]["maximum"] == 1
    assert rows["loudness"]["default"] == 3
    assert space["task.bounce"] == "Range(low=0.2, high=0.8, log=False)"


def test_a_dropped_in_task_is_checked_and_loaded(with_toy: Path) -> None:
    code = (
        "from tunesmith import config, plugins\n"
        "made = config.resolve(flags={'task': 'toy-task', 'task.bounce': '0.25'}, environment={})\n"
        "print(plugins.load('tasks', made.task_name)(made.task).options.bounce)\n"
        "try:\n    config.resolve(flags={'task': 'toy-task', 'task.bounce': '2'}, environment={})\n"
        "except Exception as error:\n    print(error)\n"
    )
    printed = run_python(code, with_toy)
    assert printed.startswith("0.25\n")
    assert "--task.bounce: task.bounce = '2'" in printed
