"""Make training data: `data from-log` takes rows of a served model's log, to be labelled anew and learned from."""

from __future__ import annotations

from typing import Literal

from tunesmith.params import Params, Seconds, param


class Arguments(Params):
    """What to make, of which log, and which rows of it."""

    action: Literal["from-log"] = param(..., "What is made: from-log, of a log of predictions.", positional=True)
    log: str = param(
        ..., "Log of predictions, as `serve --prediction-log` names it: a file, or a database's URL.", positional=True
    )
    out: str = param(..., "File for the rows, CSV or JSONL as its name ends.", positional=True)
    model: str | None = param(None, "Name of the model that answered; none: the only one of the log.")
    since: Seconds | None = param(None, "Only answers that are no older, such as 7d; none: all.")
    pick: Literal["uncertain", "random", "disagreed", "feedback", "drifted"] | None = param(
        None,
        "Which rows come first: the least sure answers; any; those that feedback or another version disputes; those whose right answer was told; those least like the training rows. None: uncertain, or random where answers do not say how sure they are.",
    )
    count: int = param(500, "Most rows.", ge=1)
    seed: int = param(0, "Seed of --pick random.")
    rows: int = param(100_000, "Most rows of the log that are looked at, the latest.", ge=1)
    bundle: str | None = param(
        None, "Folder of the bundle whose columns and labels are meant; none: the one that answered last."
    )


def main(arguments: Arguments) -> None:
    """Choose, write, and say what to do with it."""
    import time
    from contextlib import closing
    from pathlib import Path

    from tunesmith.kept import origin, relabel
    from tunesmith.kept.prediction import Wanted
    from tunesmith.kept.store import Log, pick_model

    out = Path(arguments.out)
    since = None if arguments.since is None else time.time() - arguments.since
    with closing(Log(arguments.log).open()) as log:
        name, last = pick_model(log, arguments.model)
        bundle = origin.of_folder(arguments.bundle) if arguments.bundle else log.origin(last)
        wanted = Wanted(model=name, since=since, most=arguments.rows)
        there = log.count(wanted)
        made = relabel.write(log, bundle, wanted, out, pick=arguments.pick, count=arguments.count, seed=arguments.seed)
    print(f"{out}: {made.rows:,} of {made.of:,} different inputs of '{name}' ({made.picked})")
    if there > arguments.rows:
        print(f"  the latest {arguments.rows:,} of its {there:,} answers were looked at: --rows")
    print(f"  labelled by feedback {made.judged:,}, by the model's own answers {made.rows - made.judged - made.open:,}")
    if made.open:
        print(f"  without a label {made.open:,}: fill them in before training")
    print(f"Look through it, then: {made.command}")
