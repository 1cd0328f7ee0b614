"""A learning-rate range test for people: a line in the terminal, and a page with its curve."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tunesmith.planning.rates import RangeTest
from tunesmith.report.drawing import ACCENT, MUTED, WARM, WIDE, as_svg, style
from tunesmith.report.page import picture
from tunesmith.report.terminal import sparkline


def text(test: RangeTest) -> str:
    """The curve as a line of bars, and what follows from it."""
    bars = sparkline(test.smoothed)
    first, last = f"{test.rates[0]:.1e}", f"{test.rates[-1]:.1e}"
    lines = [f"loss  {bars}", f"rate  {first}{last:>{max(len(last) + 1, len(bars) - len(first))}}", told(test)]
    return "\n".join(lines)


def told(test: RangeTest) -> str:
    """What follows, in a sentence or two."""
    end = " It diverged at the end." if test.diverged else ""
    if test.suggested is None:
        return f"The loss did not fall: there is nothing to suggest; the config has {test.planned:.2g}.{end}"
    return (
        f"The loss was lowest at {test.lowest:.2g}; a tenth of that: --train.learning_rate {test.suggested:.2g}. "
        f"The config has {test.planned:.2g}, and nothing was changed.{end}"
    )


def page(test: RangeTest, title: str) -> str:
    """One HTML page with the curve."""
    with style("rates"):
        svg = as_svg("rates", _curve(test))
    caption = f"Loss of each step, pale, and its moving average. {told(test)}"
    return picture(title, "learning-rate range test", svg, caption)


def _curve(test: RangeTest) -> Figure:
    figure = Figure((WIDE, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(test.rates, test.losses, color=ACCENT, alpha=0.3, linewidth=0.8)
    axes.plot(test.rates, test.smoothed, color=ACCENT)
    marks = [(test.planned, MUTED, "config"), (test.suggested, WARM, "suggested")]
    for rate, colour, name in marks:
        if rate is not None:
            axes.axvline(rate, color=colour, linewidth=1, linestyle="--", label=f"{name} {rate:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(None, 1.1 * max(test.smoothed)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend()
    return figure
