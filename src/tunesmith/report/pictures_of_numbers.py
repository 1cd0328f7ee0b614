"""Pictures of predicted numbers."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tunesmith.metrics import Predictions
from tunesmith.report.drawing import ACCENT, HALF, MUTED, WARM, cloud
from tunesmith.report.model import Report


def predicted_against_target(report: Report, predictions: Predictions) -> Figure:
    """Predicted against target.

    On the dashed line the answer is right.
    """
    figure = Figure((HALF, 4.0), layout="constrained")
    axes = figure.subplots()
    both = np.concatenate([predictions.targets, predictions.predicted])
    axes.plot([both.min(), both.max()], [both.min(), both.max()], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    cloud(axes, predictions.targets, predictions.predicted)
    axes.set(xlabel="target", ylabel="predicted")
    return figure


def residuals_by_length(report: Report, predictions: Predictions) -> Figure:
    """Errors by length of text.

    Predicted minus target; the line is the mean of neighbouring lengths, away from 0 the model leans to one side.
    """
    figure = Figure((HALF, 4.0), layout="constrained")
    axes = figure.subplots()
    errors = predictions.predicted - predictions.targets
    axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    cloud(axes, predictions.lengths.astype(np.float64), errors)
    order = np.argsort(predictions.lengths, kind="stable")
    parts = np.array_split(order, min(12, len(order)))
    means = [(predictions.lengths[part].mean(), errors[part].mean()) for part in parts]
    axes.plot(*zip(*means, strict=True), color=WARM)
    axes.set(xlabel="tokens", ylabel="predicted - target")
    return figure


def errors(report: Report, predictions: Predictions) -> Figure:
    """Size of errors.

    How the rows are spread over predicted minus target.
    """
    figure = Figure((HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(predictions.predicted - predictions.targets, bins=40, color=ACCENT, alpha=0.75)
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set(xlabel="predicted - target", ylabel="rows")
    return figure
