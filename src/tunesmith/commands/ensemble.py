"""Have several runs answer together, and keep that where it scores better than each of them."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which runs."""

    runs: tuple[str, ...] = param(..., "Folders of runs that share task, labels and data.", positional=True)
    out: str = param(..., "Folder of the ensemble; predict and evaluate open it like a model.")
    as_json: bool = param(False, "Print one JSON object.", name="json")


def main(arguments: Arguments) -> None:
    """Score, keep or leave, and say so."""
    import json
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tunesmith.together import ensembles

    done = ensembles.ensemble([Path(folder) for folder in arguments.runs], Path(arguments.out))
    if arguments.as_json:
        told = {name: getattr(done, name) for name in ("metric", "singles", "together")}
        print(json.dumps({**told, "folder": str(done.folder) if done.folder else None}, ensure_ascii=False))
        return
    table = Table(done.metric, *done.together, box=None)
    for name, scores in {**done.singles, "together": done.together}.items():
        table.add_row(Text(name), *(f"{score:.4f}" for score in scores.values()))
    Console().print(table)
    print(f"kept in {done.folder}" if done.folder else "the best of them is as good alone: nothing was written")
