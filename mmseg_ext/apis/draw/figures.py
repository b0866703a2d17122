"""The figures of a table's report, as SVG files that can be read on a phone.

Rows are named by letters, because their labels would not fit. The page explains the letters.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Optional

import numpy as np

from .curves import STYLE, Curve, save_figure

COLORS = ('#1b6ca8', '#c2570c', '#3f7f3f', '#7b4ea3', '#a8323e', '#127a7a', '#7d6400', '#55606b')
_LINES = ('-', '--', ':', '-.')
_SIZE = (4.0, 2.9)

Points = Sequence[tuple[float, float]]
RowCurves = Mapping[int, Sequence[Curve]]  # of the runs of each row, by the row's place
Marked = Sequence[tuple[int, float, Optional[float], Optional[float]]]  # row, value, low, high


def letter(index: int) -> str:
    """Return the letter of a row: A to Z, then AA to AZ and so on."""
    first, last = divmod(index, 26)
    return (letter(first - 1) if first else '') + chr(ord('A') + last)


def color(index: int) -> str:
    """Return the color of a row; from the ninth row on, colors repeat with other line styles."""
    return COLORS[index % len(COLORS)]


def _line(index: int) -> str:
    return _LINES[index // len(COLORS) % len(_LINES)]


@contextmanager
def open_axes(size: tuple[float, float] = _SIZE) -> Iterator[Any]:
    """Axes of a new figure, width and height in inches, in the style of all figures."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # pyplot would choose a window system

    with rc_context(STYLE):
        yield Figure(figsize=size, layout='constrained').add_subplot()


def draw_intervals(points: Marked, *, xlabel: str, zero: bool = False) -> bytes:
    """Draw one value with its interval per line.

    Args:
        points: Row, value and the ends of its interval, in the unit of ``xlabel``.
        xlabel: Label of the horizontal axis, with its unit.
        zero: Draw a line at zero, for differences.

    Returns:
        An SVG file.
    """
    with open_axes((4.0, 0.9 + 0.27 * len(points))) as axes:
        for place, (row, value, low, high) in enumerate(points):
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=color(row), linewidth=2)
            axes.plot([value], [place], 'o', color=color(row), markersize=5)
        axes.set_yticks(range(len(points)), [letter(row) for row, *_ in points])
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_xlabel(xlabel)
        if zero:
            axes.axvline(0, color='#777777', linewidth=1, linestyle='--')
        return save_figure(axes.figure)


def draw_tradeoff(
    points: Sequence[tuple[int, float, float, Optional[float], Optional[float]]],
    *,
    xlabel: str,
    ylabel: str,
) -> bytes:
    """Draw a score against a cost, with one point and its interval per row.

    The cost axis is logarithmic if the largest cost is more than ten times the smallest.

    Args:
        points: Row, cost, value, and the ends of the value's interval.
        xlabel: The cost with its unit.
        ylabel: The score with its unit.

    Returns:
        An SVG file.
    """
    with open_axes() as axes:
        for row, cost, value, low, high in points:
            if low is not None and high is not None:
                axes.plot([cost, cost], [low, high], color=color(row), linewidth=1.2, alpha=0.6)
            axes.plot([cost], [value], 'o', color=color(row), markersize=5)
            axes.annotate(letter(row), (cost, value), (5, 4), textcoords='offset points')
        costs = [cost for _, cost, *_ in points]
        if min(costs) > 0 and max(costs) > 10 * min(costs):
            use_log(axes.xaxis, max(costs) / min(costs))
        else:
            axes.set_xlim(left=0, right=1.12 * max(costs))
        axes.margins(y=0.12)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        return save_figure(axes.figure)


def use_log(axis: Any, span: float) -> None:
    """Make an axis logarithmic, with plain numbers as ticks that do not overlap.

    Args:
        axis: Horizontal or vertical.
        span: Largest value over the smallest.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.axes.set(**{f'{axis.axis_name}scale': 'log'})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 1000 else (1,)))
    axis.set_major_formatter(lambda value, _: f'{value:,.10g}')
    axis.set_minor_formatter(NullFormatter())


def draw_row_curves(
    curves: RowCurves,
    *,
    ylabel: str,
    baseline: Optional[float] = None,
    pale: RowCurves = MappingProxyType({}),
) -> bytes:
    """Draw one curve per run, with one color and line style per row.

    Args:
        curves: Curves of the runs of each row, by the row's place.
        ylabel: Label of the vertical axis, with its unit. The axis starts at zero.
        baseline: Score of one class everywhere, drawn as a dashed line.
        pale: Further curves, drawn pale and without dots.

    Returns:
        An SVG file.
    """
    with open_axes() as axes:
        for row, runs in pale.items():
            _plot_runs(axes, row, runs, alpha=0.45, label=None if row in curves else letter(row))
        for row, runs in curves.items():
            _plot_runs(axes, row, runs, label=letter(row), dots=True)
        axes.set_xlabel('iteration')
        axes.set_ylabel(ylabel)
        axes.set_ylim(bottom=0)
        if baseline is not None:
            start = min(min(curve) for runs in curves.values() for curve in runs)
            axes.axhline(baseline, color='#777777', linestyle='--', linewidth=1)
            axes.annotate('one class everywhere', (start, baseline), fontsize=8, va='bottom')
        if len({*curves, *pale}) > 1:
            axes.legend(fontsize=8, ncols=1 + (len({*curves, *pale}) - 1) // 4)
        return save_figure(axes.figure)


def _plot_runs(
    axes: Any,
    row: int,
    runs: Sequence[Curve],
    *,
    label: Optional[str],
    dots: bool = False,
    alpha: float = 1.0,
) -> None:
    for place, curve in enumerate(runs):
        steps = sorted(curve)
        axes.plot(
            steps,
            [curve[step] for step in steps],
            color=color(row),
            linestyle=_line(row),
            linewidth=1.3 if len(runs) == 1 else 0.9,
            marker='o' if dots and len(steps) < 12 else None,
            markersize=3,
            alpha=alpha,
            label=None if place else label,
        )


def draw_budget(
    seeds: Mapping[int, Sequence[Points]],
    means: Mapping[int, Points],
    *,
    xlabel: str,
    ylabel: str,
) -> bytes:
    """Draw a score against the number of labels: each seed pale, and the mean of each row.

    Args:
        seeds: Points of each seed, by the row's place.
        means: Points of the mean, by the row's place.
        xlabel: The labels with their unit.
        ylabel: The score with its unit.

    Returns:
        An SVG file.
    """
    with open_axes() as axes:
        for row, curves in seeds.items():
            for points in curves if len(curves) > 1 else ():
                axes.plot(*zip(*points), color=color(row), linewidth=0.8, alpha=0.4)
        for row, points in means.items():
            style: dict[str, Any] = dict(color=color(row), linestyle=_line(row), linewidth=1.5)
            axes.plot(*zip(*points), marker='o', markersize=3.5, label=letter(row), **style)
        axes.xaxis.get_major_locator().set_params(integer=True)  # labels are counted
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.margins(y=0.1)
        if len(means) > 1:
            axes.legend(fontsize=8, ncols=1 + (len(means) - 1) // 4)
        return save_figure(axes.figure)


def draw_rates(losses: Points, smoothed: Points, suggested: float) -> bytes:
    """Draw losses, pale, and their running mean against the learning rate.

    Args:
        losses: Rate and loss of each step.
        smoothed: Rate and running mean.
        suggested: Rate that a vertical line marks.

    Returns:
        An SVG file.
    """
    with open_axes() as axes:
        axes.plot(*zip(*losses), color=color(0), linewidth=0.8, alpha=0.4)
        axes.plot(*zip(*smoothed), color=color(0), linewidth=1.5)
        axes.axvline(suggested, color=color(1), linestyle='--', linewidth=1)
        axes.set_xscale('log')
        axes.set_xlabel('learning rate')
        axes.set_ylabel('loss')
        return save_figure(axes.figure)


def draw_points(
    curves: Mapping[str, Points], xlabel: str, ylabel: str, *, square: bool = False
) -> bytes:
    """Draw curves through points.

    Args:
        curves: Points of each curve, by its name; a name that is empty is not shown.
        xlabel: Label of the horizontal axis, with its unit.
        ylabel: Label of the vertical axis, with its unit; it starts at zero.
        square: Both axes go from 0 to 100.

    Returns:
        An SVG file.
    """
    with open_axes((4.0, 3.4) if square else _SIZE) as axes:
        for place, (name, points) in enumerate(curves.items()):
            marker = 'o' if len(points) < 12 else None
            style: dict[str, Any] = dict(color=color(place), marker=marker, markersize=3)
            axes.plot(*zip(*points), linewidth=1.4, label=name or None, **style)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_ylim(bottom=0)
        if square:
            axes.set(xlim=(-1, 101), ylim=(-1, 101))
        if len(curves) > 1:
            axes.legend(fontsize=8)
        return save_figure(axes.figure)


def draw_agreement(
    points: Points,
    lines: tuple[float, Optional[float], Optional[float]],
    *,
    xlabel: str,
    ylabel: str,
) -> bytes:
    """Draw differences against means, with the mean difference and the limits of agreement.

    Args:
        points: Mean and difference of each unit.
        lines: Mean difference and the two limits.
        xlabel: Label of the horizontal axis, with its unit.
        ylabel: Label of the vertical axis, with its unit.

    Returns:
        An SVG file.
    """
    with open_axes() as axes:
        axes.plot(*zip(*points), 'o', color=color(0), markersize=4)
        for place, height in enumerate(lines):
            if height is not None:
                style = '--' if place else '-'
                axes.axhline(height, color='#777777', linewidth=1, linestyle=style)
        axes.axhline(0, color='#bbbbbb', linewidth=0.8)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.margins(y=0.12)
        return save_figure(axes.figure)


def draw_reliability(histograms: Mapping[int, np.ndarray]) -> bytes:
    """Draw the share of right pixels against the predicted probability.

    A dashed diagonal shows perfect calibration.

    Args:
        histograms: Confidence histogram ``(3, M)`` of each row, by the row's place. Bins without
            pixels are left out.

    Returns:
        An SVG file.
    """
    with open_axes((4.0, 3.4)) as axes:
        axes.plot([0, 100], [0, 100], color='#777777', linewidth=1, linestyle='--')
        for row, (count, right, confidence) in histograms.items():
            filled = count > 0
            axes.plot(
                100 * confidence[filled] / count[filled],
                100 * right[filled] / count[filled],
                color=color(row),
                linestyle=_line(row),
                linewidth=1.3,
                marker='o',
                markersize=3,
                label=letter(row),
            )
        axes.set(xlim=(0, 100), ylim=(0, 100))
        axes.set_xlabel('probability of the predicted class in %')
        axes.set_ylabel('pixels right in %')
        if len(histograms) > 1:
            axes.legend(fontsize=8, ncols=1 + (len(histograms) - 1) // 6)
        return save_figure(axes.figure)


def draw_matrix(shares: np.ndarray) -> np.ndarray:
    """Paint a matrix of fractions with one pixel per cell; larger ones are darker, NaN is white.

    Returns:
        ``(K, K, 3)`` uint8.
    """
    dark = np.nan_to_num(shares)[..., None] ** 0.7
    low: list[int] = [8, 72, 130]
    return (255 + (np.array(low) - 255) * dark).round().astype(np.uint8)
