"""Score a saved model on labelled data."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which model, which data."""

    bundle: str = param(..., "Folder of the saved model.", positional=True)
    data: str = param(..., "Labelled data; its columns are found as in training.", positional=True)
    engine: str = param("pytorch", "What computes the answers.", plugin="engines")
    untuned: bool = param(False, "Score the base model as it was before training, where it can answer by itself.")
    as_json: bool = param(False, "Print one JSON object: task, rows, metrics, intervals.", name="json")


def main(arguments: Arguments) -> None:
    """Evaluate and print the scores."""
    import json
    import tempfile
    from pathlib import Path

    from tunesmith import metrics, predict
    from tunesmith.data.labelled import read_labelled
    from tunesmith.evaluate import evaluate

    model = predict.load(arguments.bundle, arguments.engine, untuned=arguments.untuned)
    if not arguments.untuned:
        model.replay()
    with tempfile.TemporaryDirectory() as folder:
        rows = read_labelled(arguments.data, model.bundle.config, model.target, Path(folder))
        result = evaluate(model, rows)
    if arguments.as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return
    print(metrics.classification_report(result.predictions))
    for name, (low, high) in result.intervals.items():
        print(f"{name}: {result.metrics[name]:.4f}  (95 % interval {low:.4f} to {high:.4f})")
