"""Writes what the documentation can take from the code and its records: reference, file trees, figures, measured effects.

``python -m docs.generate`` writes; ``python -m docs.generate --check`` only says what is stale, and fails if anything is.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.tables import table

import tunesmith
from docs import figures, measured, routes
from tunesmith import cli, config, params, plugins
from tunesmith.errors import TunesmithError
from tunesmith.generation.honours import DEFAULTS, Honours, When
from tunesmith.params import Leaf, Params, Range

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
MARKED = ("ARCHITECTURE.md", "README.md", "README.zh-CN.md", "docs/adapters.md", "docs/guide/engines.md")
DEMO = ROOT / "docs" / "demo.txt"
KINDS = {
    "tasks": "Tasks",
    "adapters": "Adapters",
    "engines": "Engines",
    "exports": "Exports",
    "train.optimizers": "Optimizers",
    "train.schedules": "Schedules",
    "data.formats": "File formats",
}
NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->\n\n"


def main() -> int:
    """Write or check every file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    only_check = parser.parse_args().check
    if not only_check:
        measured.renew()
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    orphans = [path for path in REFERENCE.glob("*.md") if path not in wanted]
    if only_check:
        named = [*stale, *orphans, *measured.stale()]
        for path in named:
            print(f"stale: {path.relative_to(ROOT)}", file=sys.stderr)
        if named:
            print("run: make docs", file=sys.stderr)
        return 1 if named else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    for path in orphans:
        path.unlink()
    return 0


def files() -> dict[Path, str]:
    """Every file that this module looks after, with what it should hold."""
    found = {REFERENCE / name: NOTE + text for name, text in pages().items()}
    told = DEMO.read_text(encoding="utf-8") if DEMO.exists() else ""
    demo = f"```console\n{told}```\n"
    parts = {
        "tree": tree(),
        "tasks": task_pages(),
        "figures": figures.figures(),
        "adapters": figures.adapter_figures(),
        "demo": demo,
        "honours": honoured(),
        "generation": figures.generation_figures(),
    }
    for path in (ROOT / name for name in MARKED):
        if path.exists():
            found[path] = filled(path.read_text(encoding="utf-8"), parts)
    for path, told in measured.guides().items():
        found[path] = filled(path.read_text(encoding="utf-8"), told)
    return found


def filled(text: str, parts: Mapping[str, str]) -> str:
    """A document with each part between its marks, ``<!-- tree -->`` and ``<!-- /tree -->``, where it has them."""
    for name, part in parts.items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        if opening in text:
            before, rest = text.split(opening, 1)
            _, after = rest.split(closing, 1)
            text = f"{before}{opening}\n{part}{closing}{after}"
    return text


def pages() -> dict[str, str]:
    """The reference: file name to text."""
    return {
        "parameters.md": parameters(),
        "commands.md": commands(),
        "plugins.md": plugin_lists(),
        "errors.md": errors(),
        "routes.md": routes.page(),
    }


# parameters


def parameters() -> str:
    """Every parameter of the config, section by section."""
    parts = [
        "# Parameters\n",
        "Each is declared once in the code, and this page, the flags, the variables, the checks and their messages follow.",
        "A value may be given in a YAML config (`train: {epochs: 3}`), as an environment variable, as a flag or as a Python",
        'keyword (`ts.train(..., train={"epochs": 3})`); later ones win in this order. `none` means not set. "Search" is the',
        "range that a hyperparameter search tries.\n",
    ]
    tasks, adapters = plugins.names("tasks"), plugins.names("adapters")
    common = config.class_for(tasks[0], adapters[0])
    owned = {"task", "columns", "request", "adapter"}
    shared = [name for name in common.model_fields if name not in owned]
    for name in shared:
        parts += _section(f"## `{name}`", common, name)
    for task in tasks:
        parts.append(f"## Task `{task}`\n\n{plugins.summary('tasks', task)}\n")
        for name in ("task", "columns", "request"):
            parts += _section(f"### `{name}` of {task}", config.class_for(task, adapters[0]), name)
    for adapter in adapters:
        parts.append(f"## Adapter `{adapter}`\n\n{plugins.summary('adapters', adapter)}\n")
        parts += _section(f"### `adapter` of {adapter}", config.class_for(tasks[0], adapter), "adapter")
    return "\n".join(parts)


def _section(heading: str, group: type[Params], name: str) -> Iterator[str]:
    section = params.section_class(group.model_fields[name].annotation)
    leaves = [leaf for leaf in params.leaves(group) if leaf.path.partition(".")[0] == name]
    yield f"{heading}\n"
    if section is not None and section.__doc__:
        yield f"{section.__doc__.splitlines()[0]}\n"
    yield table(
        ("flag and variable", "legal", "default", "search", "meaning"), (_parameter_row(leaf) for leaf in leaves)
    )


def _parameter_row(leaf: Leaf) -> tuple[str, ...]:
    spelt = f"`{leaf.flag}`<br>`{leaf.environment}`"
    return spelt, leaf.legal, f"`{cli.shown(leaf.default)}`", _search(leaf), leaf.help


def _search(leaf: Leaf) -> str:
    if leaf.search is None:
        return ""
    if isinstance(leaf.search, Range):
        return f"{leaf.search.low:g} to {leaf.search.high:g}{', log' if leaf.search.log else ''}"
    return ", ".join(str(value) for value in leaf.search.values)


# commands, plugins, errors


def commands() -> str:
    """The help of every verb."""
    parts = ["# Commands\n", f"```\n{cli.overview()}\n```\n"]
    more = {
        "config": "all [config parameters](parameters.md)",
        "request": "the task's [request parameters](parameters.md)",
        "export": "the form's options, which `tunesmith export --to FORM --help` lists,",
    }
    for verb in plugins.names("commands"):
        module = plugins.module("commands", verb)
        parts.append(f"## `tunesmith {verb}`\n\n```\n{cli.own_help(verb, module)}\n```\n")
        if kind := getattr(module, "MORE", None):
            parts.append(f"It also takes {more[kind]} as flags.\n")
    return "\n".join(parts)


def plugin_lists() -> str:
    """Every plugin of every kind, with the first line of its documentation."""
    parts = ["# Plugins\n"]
    for kind, title in KINDS.items():
        parts.append(f"## {title}\n\nIn `{_place_of(kind)}`.\n")
        parts.append(table(("name", "what it is"), ((f"`{n}`", plugins.summary(kind, n)) for n in plugins.names(kind))))
    return "\n".join(parts)


def task_pages() -> str:
    """Every task, with a link to its page."""
    names = plugins.names("tasks")
    return table(
        ("task", "what it learns"),
        ((f"[{name}](docs/tasks/{name}.md)", plugins.summary("tasks", name)) for name in names),
    )


def _place_of(kind: str) -> str:
    place = Path("src/tunesmith", *kind.split("."))
    return f"{place}/" if (package() / Path(*kind.split("."))).is_dir() else f"{place}.py"


def errors() -> str:
    """The tree of errors."""
    head = ("error", "code", "exit code", "HTTP status", "meaning")
    intro = "# Errors\n\nEverything that a user can mend is one of these; each lists all problems found, not only the first.\n\n"
    return intro + table(head, _error_rows(TunesmithError, 0))


def _error_rows(group: type[TunesmithError], depth: int) -> Iterator[tuple[str, ...]]:
    first = (group.__doc__ or "").splitlines()[0]
    name = f"{'&nbsp;' * 4 * depth}`{group.__name__}`"
    yield name, f"`{group.code}`", str(group.exit_code), str(group.http_status), first
    for child in group.__subclasses__():
        if child.__module__ == TunesmithError.__module__:  # a server's refusals stand on the page of its routes
            yield from _error_rows(child, depth + 1)


# the tree of files


def package() -> Path:
    """Where the package that is described lies."""
    return Path(tunesmith.__file__).parent


def tree() -> str:
    """Every module with the first line of its documentation."""
    rows = [("src/tunesmith/", ""), *_branches(package(), 1)]
    for folder in ("docs", "examples", "benchmarks"):
        rows += [(f"{folder}/", ""), *_branches(ROOT / folder, 1)]
    width = max(len(name) for name, _ in rows)
    return "```\n" + "".join(f"{name:<{width}}  {text}".rstrip() + "\n" for name, text in rows) + "```\n"


def _branches(folder: Path, depth: int) -> Iterator[tuple[str, str]]:
    indent = "  " * depth
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.suffix == ".py" and path.name not in ("__init__.py", "__main__.py"):
            yield f"{indent}{path.name}", _first_line(path)
        elif (path / "__init__.py").exists():
            yield f"{indent}{path.name}/", _first_line(path / "__init__.py")
            yield from _branches(path, depth + 1)


def _first_line(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    return text.splitlines()[0] if text else ""


# figures


def honoured() -> str:
    """Which engine honours which request parameter, by what the engines declare; numbers stand for conditions."""
    declared: dict[str, Honours] = {}
    for name in plugins.names("engines"):
        declared |= plugins.load("engines", name).declared()
    declared = {name: honours for name, honours in declared.items() if honours}
    notes: list[str] = []
    rows = []
    for parameter in DEFAULTS:
        cells = [_honoured(honours.get(parameter), notes) for honours in declared.values()]
        rows.append((f"`{parameter}`", *cells))
    told = "".join(f"{number}. {note}\n" for number, note in enumerate(notes, 1))
    return f"{table(('parameter', *declared), rows)}\n{told}"


def _honoured(when: When | None, notes: list[str]) -> str:
    if when is None:
        return ""
    if not when.where:
        return "yes"
    if when.where not in notes:
        notes.append(when.where)
    return f"({notes.index(when.where) + 1})"


if __name__ == "__main__":
    sys.exit(main())
