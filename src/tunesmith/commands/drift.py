"""Say whether what a served model is asked, and answers, has drifted away from its training."""

from __future__ import annotations

from tunesmith.params import Params, Seconds, param


class Arguments(Params):
    """Which bundle, and the log of its predictions."""

    bundle: str = param(..., "Folder of the saved model.", positional=True)
    log: str = param(
        ..., "Log of predictions, as `serve --prediction-log` names it: a file, or a database's URL.", positional=True
    )
    since: Seconds | None = param(None, "Only answers that are no older, such as 7d; none: all.")
    rows: int = param(20_000, "Most rows that are looked at, the latest.", ge=1)
    as_json: bool = param(False, "Print the report as JSON.", name="json")


def main(arguments: Arguments) -> None:
    """Compare, and print."""
    import json
    import time
    from contextlib import closing
    from pathlib import Path

    from tunesmith.kept import origin, report, show
    from tunesmith.kept.store import Log

    folder = Path(arguments.bundle)
    bundle = origin.of_folder(folder)
    since = None if arguments.since is None else time.time() - arguments.since
    with closing(Log(arguments.log).open()) as log:
        found = report.look(log, bundle, folder, since=since, most=arguments.rows)
    if arguments.as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        print("\n".join(show.lines(found)))
