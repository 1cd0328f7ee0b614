"""Tunesmith: a labelled text file becomes a fine-tuned, evaluated, served language model.

    import tunesmith as ts
    run = ts.train("reviews.csv", task="text-classification")
    print(run.report)
    print(ts.evaluate(run.folder, "more.csv"))
    ts.load(run.folder).answers(["fine film"], threshold=0.6)

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tunesmith.search
import tunesmith.train  # noqa: F401 - loaded later, the packages would take the place of the functions below
from tunesmith.errors import (
    BundleError,
    ContextError,
    DataError,
    Interrupted,
    SourceError,
    TrainingError,
    TunesmithError,
    UsageError,
)

if TYPE_CHECKING:
    from tunesmith.diagnosis.model import Diagnosis
    from tunesmith.evaluation import Evaluation
    from tunesmith.explaining.found import Found
    from tunesmith.exported import Record
    from tunesmith.planning.model import Plan
    from tunesmith.predict import Model
    from tunesmith.search.run import Search
    from tunesmith.side_by_side import SideBySide
    from tunesmith.speed import Race
    from tunesmith.studying.run import Study
    from tunesmith.train.run import Run

__all__ = [
    "BundleError",
    "ContextError",
    "DataError",
    "Interrupted",
    "SourceError",
    "TrainingError",
    "TunesmithError",
    "UsageError",
    "bench",
    "doctor",
    "evaluate",
    "explain",
    "export",
    "load",
    "load_many",
    "load_side_by_side",
    "plan",
    "resume",
    "search",
    "study",
    "train",
]


def train(source: str | Path | None = None, **parameters: Any) -> Run:
    """Fine-tune a model.

    Args:
        source: labelled data, or a YAML config.
        parameters: config parameters: ``task="text-classification"``, ``train={"epochs": 2}`` or ``**{"train.epochs": 2}``;
            ``quiet=True`` shows no progress.

    Returns:
        The finished run: ``run.folder`` is the bundle, ``run.report`` its report.
    """
    from tunesmith import config
    from tunesmith.train import run

    quiet = bool(parameters.pop("quiet", False))
    return run.train(config.from_call(source, keywords=parameters), quiet=quiet)


def plan(
    source: str | Path | None = None, *, gpu: str | None = None, price: float | None = None, **parameters: Any
) -> Plan:
    """Say before a run what it takes: ``.seconds``, ``.memory``, ``.disk``, ``.cost``; printed, the whole table.

    Args:
        source: labelled data, or a YAML config.
        gpu: one that need not be there, by name or memory (``"24GB"``): ``.gpu`` says what it would do.
        price: of an hour.
        parameters: config parameters, as for ``train``.
    """
    from tunesmith import config
    from tunesmith.planning import forecast

    return forecast.plan(config.from_call(source, keywords=parameters), gpu, price)


def resume(folder: str | Path, *, quiet: bool = False) -> Run:
    """Go on with a run that was stopped or killed; it ends as if it had never been."""
    from tunesmith.train import run

    return run.resume(Path(folder), quiet=quiet)


def search(source: str | Path | None = None, **parameters: Any) -> Search:
    """Search for better training parameters, and say whether those found beat the defaults beyond seed noise.

    Args:
        source: labelled data, a YAML config, or with ``resume=True`` the folder of a study.
        parameters: settings of the search (``trials=20, budget="30m", workers=2``), and config parameters as for ``train``, of
            which any may be a range: ``train={"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "batch_size": [16, 32]}``;
            ``quiet=True`` shows no progress.

    Returns:
        The finished search: ``.found.words`` is the verdict, ``.found.verdict`` its numbers, ``.best`` the winner's config.
    """
    from tunesmith import params
    from tunesmith.search import run
    from tunesmith.search.settings import Settings

    quiet = bool(parameters.pop("quiet", False))
    own = {name: parameters.pop(name) for name in Settings.model_fields if name in parameters}
    settings = params.check(Settings, own, {name: f"argument {name}" for name in own})
    return run.search(source, settings, keywords=parameters, quiet=quiet)


def study(source: str | Path | None = None, **parameters: Any) -> Study:
    """Find out what training parameters do: every combination of some values, each with several seeds.

    Args:
        source: labelled data, a YAML config, or with ``resume=True`` the folder of a study.
        parameters: settings of the study (``seeds=3, budget="30m"``), and config parameters as for ``train``, of which some have
            several values: ``train={"learning_rate": [1e-4, 1e-3]}``; ``quiet=True`` shows no progress.

    Returns:
        The finished study: ``.found.words`` says what matters, ``.found.effects`` has each parameter's effect with its interval.
    """
    from tunesmith import params
    from tunesmith.studying import run
    from tunesmith.studying.settings import Settings

    quiet = bool(parameters.pop("quiet", False))
    own = {name: parameters.pop(name) for name in Settings.model_fields if name in parameters}
    settings = params.check(Settings, own, {name: f"argument {name}" for name in own})
    return run.study(source, settings, keywords=parameters, quiet=quiet)


def load(folder: str | Path, engine: str | None = None) -> Model:
    """Open a bundle to answer with; the engine is the fastest that can, where none is named."""
    from tunesmith import predict

    return predict.load(folder, engine)


def load_many(folders: Iterable[str | Path], engine: str | None = None) -> list[Model]:
    """Open several bundles to answer with; adapters of one base model have its weights in memory once."""
    from tunesmith import predict

    return predict.load_many(folders, engine)


def load_side_by_side(folders: Mapping[str, str | Path] | Iterable[str | Path]) -> SideBySide:
    """Open LoRA bundles of one base model that answer in one batch: ``.answers([("support", "hi"), ("sales", "hi")])``."""
    from tunesmith import side_by_side

    return side_by_side.load(folders)


def evaluate(bundle: str | Path, data: str | Path, engine: str | None = None, *, untuned: bool = False) -> Evaluation:
    """Score a bundle on labelled data: ``.metrics`` by name, ``.intervals`` of the chief ones; printed, the whole table.

    ``untuned=True`` scores the base model as it was before training, where it could answer already.
    """
    from tunesmith import evaluation

    return evaluation.evaluate_data(bundle, str(data), engine, untuned=untuned)


def bench(
    bundle: str | Path, data: str | Path | None = None, *, engine: str | None = None, seconds: float = 2.0
) -> Race:
    """Measure how fast each engine answers with a bundle; ``load`` takes the fastest from then on. Printed, a table.

    Args:
        bundle: its folder.
        data: a file of inputs; None: a few validation rows that the bundle keeps.
        engine: measure only this one, and keep nothing.
        seconds: time for each size of call.
    """
    from tunesmith import speed

    return speed.race(bundle, None if data is None else str(data), engine=engine, seconds=seconds)


def explain(
    parameter: str,
    model: str | Path,
    prompts: Iterable[str] = (),
    *,
    data: str | None = None,
    rows: int = 20,
    path: Literal["greedy", "reference"] = "greedy",
    tokens: int = 64,
    values: str | Sequence[Any] | None = None,
    keep: str | None = None,
    **held: Any,
) -> Found:
    """Find out what a request parameter does to a model's answers, exactly where that can be computed.

    Args:
        parameter: its name, such as ``"top_p"``.
        model: a bundle's folder, or a base model that writes.
        prompts: inputs; none: a few validation rows that the bundle keeps.
        data: labelled data to take inputs from instead.
        rows: most rows of it.
        path: of a model that writes, go along its likeliest answers or along those of the data.
        tokens: of a model that writes, most tokens of each answer.
        values: to try, a list or ``"0:1.5:0.1"``; None: the range that is declared.
        keep: folder that keeps logits for further calls.
        held: other request parameters.

    Returns:
        What was found: ``columns`` of numbers, ``sentences`` that say what these mean (``print`` shows them).
    """
    from tunesmith.explaining import study

    return study.explain(
        study.Wanted(parameter, str(model), tuple(prompts), data, rows, path, tokens, values, held, keep)
    )


def export(
    bundle: str | Path, to: str, out: str | Path | None = None, *, data: str | None = None, **options: Any
) -> Record:
    """Write a bundle's model in another form, checked against its network: ``.drift``, ``.size_bytes``, ``.precision``.

    Args:
        bundle: its folder.
        to: the form, such as ``"onnx"``.
        out: folder of a new bundle that holds this form alone; None: into the bundle, beside its weights.
        data: labelled rows that decide whether a smaller form is as good; None: the run's own validation rows.
        options: of the form: ``precision="int8"``.
    """
    from tunesmith import exporting

    return exporting.export(bundle, to, out, data=data, options=options)


def doctor(
    source: str | Path | None = None,
    *,
    by: Literal["folds", "features"] | None = None,
    near: float | None = 0.95,
    accept: bool = False,
    out: str | Path | None = None,
    quiet: bool = False,
    **parameters: Any,
) -> Diagnosis:
    """Find label errors, ambiguous rows, repeated texts and rows that fail, and write ``corrections.csv`` to fill in.

    Args:
        source: folder of a finished run; or labelled data, or a YAML config.
        by: what judges rows that it did not see: ``folds`` of the run, or heads on the base model's ``features``; None:
            folds where the run has some.
        near: cosine from which two texts count as nearly the same; None: only equal texts do.
        accept: fill in what becomes of label errors: where another label leads by more than 0.1, a row gets it if that is
            likelier than all others together, and is dropped if not.
        out: folder of the findings; None: ``doctor`` in the run's folder, or ``runs/doctor-<data>``.
        quiet: show no progress.
        parameters: config parameters, where the source is no run.
    """
    from tunesmith.diagnosis import doctor as doctors

    given: Any = {"by": by, "near": near, "accept": accept, "out": out, "quiet": quiet}
    return doctors.call(source, keywords=parameters, **given)[0]
