"""Average the weights of several runs, and keep the mean where it scores better than each of them."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which runs."""

    runs: tuple[str, ...] = param(..., "Folders of runs that share task, data and base model.", positional=True)
    out: str = param(..., "Folder of the new run.")
    as_json: bool = param(False, "Print one JSON object.", name="json")


def main(arguments: Arguments) -> None:
    """Average, keep or leave, and say so."""
    import json
    from pathlib import Path

    from tunesmith import report
    from tunesmith.together import soups

    done = soups.soup([Path(folder) for folder in arguments.runs], Path(arguments.out), quiet=arguments.as_json)
    if arguments.as_json:
        told = {name: getattr(done, name) for name in ("metric", "singles", "members", "score")}
        print(json.dumps({**told, "folder": str(done.folder) if done.folder else None}, ensure_ascii=False))
        return
    if done.report:
        report.show(done.report)
    for folder, score in done.singles.items():
        print(f"{done.metric} {score:.4f}  {folder}")
    if done.folder:
        print(f"{done.metric} {done.score:.4f}  the mean of {len(done.members)} of them, in {done.folder}")
    else:
        print(f"no mean scores better than {done.members[0]} alone: nothing was written")
