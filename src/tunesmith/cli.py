"""The command line: a verb is a file in ``commands/``, its flags are what that file declares.

``--name value`` and ``--name=value`` set a parameter; one that is true or false may stand alone. A verb with ``MORE = "config"``
accepts every config parameter by its dotted name (``--train.learning_rate 3e-5``), which ones there are follows from
the task and the adapter named in the same call; one with ``MORE = "request"`` accepts the request parameters of its
bundle's task; one with ``MORE = "export"`` the options of the form named in the same call.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tunesmith import kinds, params, plugins
from tunesmith.errors import Interrupted, Problem, TunesmithError, UsageError, did_you_mean
from tunesmith.given import PLUGIN_SECTIONS
from tunesmith.params import Leaf


def entry() -> None:
    """The ``tunesmith`` script.

    Starting imports some three thousand modules, whose objects live to the end. Looking through them for garbage, again
    and again while they grow and once more at the end, takes a third of a short call.
    """
    gc.set_threshold(100_000, 50, 100)
    code = main()
    gc.freeze()
    sys.exit(code)


def main(words: Sequence[str] | None = None) -> int:
    """Run one call of the command line; returns its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except TunesmithError as error:
        if "TUNESMITH_DEBUG" in os.environ:
            raise
        print(f"{'stopped' if isinstance(error, Interrupted) else 'error'}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return Interrupted.exit_code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if "TUNESMITH_DEBUG" in os.environ:
            raise
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 1


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(overview())
        return 0
    if words[0] in ("--version", "-V"):
        from importlib.metadata import version

        print(version("tunesmith"))
        return 0
    verb, rest = words[0], words[1:]
    if verb not in plugins.names("commands"):
        raise UsageError(f"no command '{verb}'", hint=did_you_mean(verb, plugins.names("commands")))
    command = plugins.module("commands", verb)
    positional, flags = _split(rest, _kinds(command, rest), _repeated(command))
    if "help" in flags:
        print(help_for(verb, command, positional, flags))
        return 0
    return int(_call(command, positional, flags) or 0)


def overview() -> str:
    """What ``tunesmith --help`` prints."""
    verbs = [f"  {verb:<10} {plugins.summary('commands', verb)}" for verb in plugins.names("commands")]
    return "\n".join(
        [
            "Tunesmith: a labelled text file becomes a fine-tuned, evaluated language model.",
            "",
            "usage: tunesmith COMMAND ...      tunesmith COMMAND --help",
            "",
            *verbs,
            "",
            f"tasks:    {', '.join(plugins.names('tasks'))}",
            f"adapters: {', '.join(plugins.names('adapters'))}",
        ]
    )


def help_for(verb: str, command: ModuleType, positional: Sequence[str], flags: dict[str, str]) -> str:
    """What ``tunesmith VERB --help`` prints; with ``--task`` and ``--adapter``, or a bundle, it shows their parameters."""
    rows = [own_help(verb, command)]
    for title, leaves in _more(command, positional, flags).items():
        rows += ["", f"{title}:", *_table(leaves)]
    return "\n".join(rows)


def own_help(verb: str, command: ModuleType) -> str:
    """The part of it on what the verb itself takes."""
    own = list(params.leaves(command.Arguments))
    words = [leaf.path.upper() if leaf.required else f"[{leaf.path.upper()}]" for leaf in own if leaf.positional]
    line = " ".join(["usage: tunesmith", verb, *words, "[--name value ...]"])
    return "\n".join([line, "", (command.__doc__ or "").strip(), "", *_table(own)])


def shown(value: Any) -> str:
    """A default as a user would write it.

    >>> shown(None), shown(True), shown(("a", "b"))
    ('none', 'true', 'a, b')
    """
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _call(command: ModuleType, positional: list[str], flags: dict[str, str]) -> Any:
    own = {leaf.path: leaf for leaf in params.leaves(command.Arguments)}
    values: dict[str, Any] = _placed(positional, own)
    rest = {}
    for name, text in flags.items():
        if name in own:
            values[name] = kinds.from_text(text, own[name].annotation)
        else:
            rest[name] = text
    open_ended = hasattr(command, "MORE")
    if rest and not open_ended:
        problems = [Problem(f"unknown flag --{name}", None, did_you_mean(name, list(own))) for name in rest]
        raise UsageError("the call cannot be understood", problems=problems)
    origins = {name: name.upper() if own[name].positional else f"--{name}" for name in values}
    arguments = params.check(command.Arguments, values, origins)
    return command.main(arguments, rest) if open_ended else command.main(arguments)


def _placed(words: list[str], own: dict[str, Leaf]) -> dict[str, Any]:
    """Positional words to the parameters that stand for them; the last one takes all that are left if it is a list."""
    places = [leaf for leaf in own.values() if leaf.positional]
    values: dict[str, Any] = {}
    for leaf in places:
        if words and _is_list(leaf):
            values[leaf.path], words = words, []
        elif words:
            values[leaf.path], words = words[0], words[1:]
    if words:
        raise UsageError(
            f"too many words: {' '.join(words)}", hint="a value with spaces needs quotes; flags begin with --"
        )
    return values


def _kinds(command: ModuleType, words: list[str]) -> dict[str, bool]:
    """The flags that a verb knows, and whether each is true or false and so may stand alone."""
    own = {leaf.path: leaf.annotation is bool for leaf in params.leaves(command.Arguments)}
    named = dict.fromkeys(PLUGIN_SECTIONS, False) if getattr(command, "MORE", None) == "config" else {}
    known = {**own, **named, "help": True}
    more = _more(command, *_split(words, known, _repeated(command))).values()
    return {leaf.path: leaf.annotation is bool for leaves in more for leaf in leaves} | known


def _repeated(command: ModuleType) -> set[str]:
    """The flags of a verb that may be given several times."""
    return {leaf.path for leaf in params.leaves(command.Arguments) if leaf.repeated}


def _split(words: list[str], known: dict[str, bool], repeated: Iterable[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Words that stand alone, and flags with their text; a flag given twice is an error, or one without its value.

    The texts of a flag that may be ``repeated`` come as one, a JSON list.
    """
    positional: list[str] = []
    flags: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return positional + rest, flags
        if not word.startswith("--") and word != "-h":
            positional.append(word)
            continue
        name, equals, text = ("help", "", "") if word == "-h" else word[2:].partition("=")
        if name in flags and name not in repeated:
            raise UsageError(f"--{name} is given twice")
        text = text if equals else _text_of(name, rest, known.get(name))
        flags[name] = json.dumps([*json.loads(flags.get(name, "[]")), text]) if name in repeated else text
    return positional, flags


def _text_of(name: str, rest: list[str], is_switch: bool | None) -> str:
    """A flag's text out of the words after it; ``is_switch`` is None where the flag is not known."""
    if rest and not rest[0].startswith("--") and (not is_switch or rest[0] in ("true", "false")):
        return rest.pop(0)
    if is_switch is False:
        raise UsageError("has no value", where=f"--{name}", hint=f"write --{name} VALUE")
    return "true"


def _is_list(leaf: Leaf) -> bool:
    return "tuple" in str(leaf.annotation)


def _more(command: ModuleType, positional: Sequence[str], flags: dict[str, str]) -> dict[str, list[Leaf]]:
    """The parameters that a verb takes beside its own, by title: those of the config, or of requests."""
    kind = getattr(command, "MORE", None)
    if kind == "config":
        from tunesmith import config

        return {"config parameters": list(params.leaves(config.chosen_class(flags)))}
    if kind == "export":
        to = flags.get("to")
        known = [to] if to in plugins.names("exports") else [] if to else plugins.names("exports")
        groups = {name: list(params.leaves(plugins.module("exports", name).Params)) for name in known}
        return {f"options of {name}": leaves for name, leaves in groups.items() if leaves}
    if kind == "request":
        return _requests(_task_of(positional[0]) if positional else None)
    return {}


def _requests(task: str | None) -> dict[str, list[Leaf]]:
    """The request parameters of a task, or of all; those that several tasks declare alike stand together."""
    asked = [task] if task else plugins.names("tasks")
    declared = [(name, leaf) for name in asked for leaf in params.leaves(plugins.module("tasks", name).Request)]
    tasks_with: dict[tuple[str, ...], list[str]] = {}
    for name, leaf in declared:
        tasks_with.setdefault(_declaration(leaf), []).append(name)
    groups: dict[str, dict[str, Leaf]] = {}
    for _, leaf in declared:
        title = f"request parameters of {', '.join(tasks_with[_declaration(leaf)])}"
        groups.setdefault(title, {})[leaf.path] = leaf
    return {title: list(leaves.values()) for title, leaves in groups.items()}


def _declaration(leaf: Leaf) -> tuple[str, ...]:
    return leaf.path, str(leaf.default), leaf.legal, leaf.help


def _task_of(folder: str) -> str | None:
    """The task of the bundle in a folder; None where there is none, which the verb will tell."""
    try:
        task = json.loads((Path(folder) / "bundle.json").read_text(encoding="utf-8"))["task"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return task if task in plugins.names("tasks") else None


def _table(leaves: Iterable[Leaf]) -> list[str]:
    rows = []
    for leaf in leaves:
        default = "required" if leaf.required else shown(leaf.default)
        rest = "" if leaf.positional and leaf.required else f"  [{default}; {leaf.legal}]"
        rows.append(f"  {leaf.path if leaf.positional else leaf.flag:<32} {leaf.help}{rest}")
    return rows
