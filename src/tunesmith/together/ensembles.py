"""Whether several runs answer better together than the best of them alone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith import ensemble as ensembles
from tunesmith import metrics, predict
from tunesmith.data.prepare import prepare
from tunesmith.ensemble import Ensemble
from tunesmith.errors import UsageError
from tunesmith.together import mates


@dataclass(frozen=True)
class Asked:
    """What runs score alone and together.

    Args:
        metric: that decides.
        singles: of each run, by folder, its score on each split that it was not trained on.
        together: the same of all of them.
        folder: of the ensemble; None where the best run is as good on the validation rows, and nothing was written.
    """

    metric: str
    singles: dict[str, dict[str, float]]
    together: dict[str, float]
    folder: Path | None


def ensemble(folders: Sequence[Path], out: Path) -> Asked:
    """Have runs answer together, and keep that if it scores better on the validation rows than each of them.

    Args:
        folders: of runs that share task, labels and data; base models may differ.
        out: where the ensemble is written, for ``predict`` and ``evaluate`` to open like a model.

    Raises:
        UsageError: they do not fit together, or the folder is taken.
    """
    found = mates.opened(folders)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder is not empty", where=str(out), hint="choose another --out, or move it away")
    members = [predict.load(folder) for folder in folders]
    joined, first = Ensemble(members), found[0]
    with tempfile.TemporaryDirectory() as folder:
        splits = prepare(first.config, first.task, Path(folder))
        splits.stop_on_errors()
        tables = {name: rows for name, rows in splits.tables.items() if name != "train"}
        metric = str(first.config.train.metric)
        scores = [
            {name: metrics.score(model.predictions(rows), [metric])[metric] for name, rows in tables.items()}
            for model in (*members, joined)
        ]
    *singles, together = scores
    sign = 1 if metrics.higher_is_better(metric) else -1
    better = sign * together["validation"] > max(sign * one["validation"] for one in singles)
    named = {str(folder): one for folder, one in zip(folders, singles, strict=True)}
    asked = Asked(metric, named, together, out if better else None)
    if better:
        told = asdict(asked)
        ensembles.write(folders, out, {name: told[name] for name in ("metric", "singles", "together")})
    return asked
