"""Make, list and remove the API keys of a server: a file of their hashes, which a running server reads again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tunesmith.params import Params, param

if TYPE_CHECKING:
    from pathlib import Path


class Arguments(Params):
    """Which file, whose key, and what it may do."""

    action: Literal["add", "list", "remove"] = param(
        ..., "Make a key and print it, once; list the keys; or take one away.", positional=True
    )
    file: str = param(..., "File of the keys; `tunesmith serve --keys` reads it.", positional=True)
    name: str | None = param(None, "Whose key it is.", positional=True)
    scopes: tuple[Literal["infer", "admin", "metrics"], ...] | None = param(
        None, "What a new key may do: infer (ask models), admin (change them), metrics (read them); none: infer."
    )
    as_json: bool = param(False, "Print JSON.", name="json")


def main(arguments: Arguments) -> None:
    """Change the file, or print what it holds."""
    import json
    from pathlib import Path

    from tunesmith.errors import UsageError
    from tunesmith.serving import keys

    file, name = Path(arguments.file), arguments.name
    if arguments.action == "list":
        if name is not None:
            raise UsageError("a list is of all keys", where=name, hint="leave the name out")
        return _list(file, arguments.as_json)
    if not name or not name.strip():
        raise UsageError("whose key?", hint=f"tunesmith keys {arguments.action} {file} NAME")
    if arguments.action == "remove":
        if arguments.scopes is not None:
            raise UsageError("a key goes with all that it may do", where="--scopes", hint="leave it out")
        keys.remove(file, name)
        print(json.dumps({"removed": name}) if arguments.as_json else f"removed: {name}")
        return None
    scopes = tuple(dict.fromkeys(arguments.scopes or ("infer",)))
    made = keys.add(file, name, scopes)
    print(json.dumps({"name": name, "scopes": scopes, "key": made}) if arguments.as_json else made)
    return None


def _list(file: Path, as_json: bool) -> None:
    import json
    from datetime import datetime

    from tunesmith.serving import keys

    for key in keys.read(file):
        made = datetime.fromtimestamp(key.made_at).astimezone().isoformat(timespec="seconds")
        if as_json:
            print(json.dumps({"name": key.name, "scopes": key.scopes, "made_at": made}, ensure_ascii=False))
        else:
            print(f"{key.name}  {', '.join(key.scopes)}  {made}")
