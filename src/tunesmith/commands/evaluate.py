"""Score a saved model on labelled data."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which model, which data."""

    bundle: str = param(..., "Folder of the saved model.", positional=True)
    data: str = param(..., "Labelled data; its columns are found as in training.", positional=True)
    engine: str | None = param(None, "What computes the answers; none: the fastest that can.", plugin="engines")
    untuned: bool = param(False, "Score the base model as it was before training, where it can answer by itself.")
    as_json: bool = param(False, "Print one JSON object: task, rows, metrics, intervals.", name="json")


def main(arguments: Arguments) -> None:
    """Evaluate and print the scores."""
    import json

    from tunesmith.evaluation import evaluate_data

    result = evaluate_data(arguments.bundle, arguments.data, arguments.engine, untuned=arguments.untuned)
    print(json.dumps(result.to_json(), ensure_ascii=False) if arguments.as_json else result)
