"""The figures of a paper's benchmarks: times against a peer's, and costs against sizes.

Drawn from the same files as the tables of ``speed``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from ..draw.curves import save_figure
from ..draw.figures import color, open_axes, use_log

Case = dict[str, Any]
Ratio = tuple[str, str, float, float, float]  # row, series, and the middle, lowest and highest
_MARKS, _WIDTH = 'osD^vPX*', 7.2  # inches


def figure_name(path: Path, paper: str) -> str:
    """Name the figure of a file ``benchmark_NAME.json``."""
    return f'{paper}_speed_{path.stem.removeprefix("benchmark_")}.svg'


def has_figure(cases: Sequence[Case]) -> bool:
    """Whether the cases of a benchmark are drawn: networks in several forms, or growth."""
    if all('sizes' in case for case in cases):
        return True
    forms = all('ratio' in case and case['case'].split(', ')[0].endswith('.py') for case in cases)
    one_peer = len({case.get('reference') for case in cases}) == 1  # else a form has several marks
    return forms and one_peer and len({_ratio(case)[0] for case in cases}) > 1


def draw(cases: Sequence[Case]) -> bytes:
    """Draw the cases of a benchmark.

    Args:
        cases: As ``tools/benchmark.py --out`` writes them, for which :func:`has_figure`.

    Returns:
        An SVG file.
    """
    if all('sizes' in case for case in cases):
        return _draw_growth(cases)
    return _draw_ratios([_ratio(case) for case in cases])


def _ratio(case: Case) -> Ratio:
    """A case is named ``network, form, shape``."""
    row, form, *_ = case['case'].split(', ')
    ends = sorted(1 / case[key] for key in ('ratio_lowest', 'ratio_highest'))
    return Path(row).stem, form, 1 / case['ratio'], ends[0], ends[1]


def _draw_ratios(ratios: Sequence[Ratio]) -> bytes:
    rows = list(dict.fromkeys(row for row, *_ in ratios))
    series = list(dict.fromkeys(name for _, name, *_ in ratios))
    height = 1.1 + len(rows) * (0.16 + 0.09 * len(series))
    with open_axes((_WIDTH, height)) as axes:
        axes.axvline(1, color='#777777', linestyle='--', linewidth=1)
        for number, name in enumerate(series):
            style: dict = dict(color=color(number))
            shift = 0.7 * ((number + 0.5) / len(series) - 0.5)
            label: Optional[str] = name
            for row, own, middle, low, high in ratios:
                if own != name:
                    continue
                place = rows.index(row) + shift
                axes.plot([low, high], [place, place], linewidth=1.2, **style)
                mark = _MARKS[number % len(_MARKS)]
                axes.plot([middle], [place], mark, markersize=4, label=label, **style)
                label = None
        use_log(axes.xaxis, max(high for *_, high in ratios) / min(low for *_, low, _ in ratios))
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel('time, in times of the other')
        if len(series) > 1:
            axes.figure.legend(loc='outside upper center', ncols=3, fontsize=8)
        return save_figure(axes.figure)


def _draw_growth(cases: Sequence[Case]) -> bytes:
    """Seconds against sizes, each relative to the smallest: a straight line is a power."""
    with open_axes((_WIDTH, 4.2)) as axes:
        largest = max(case['sizes'][-1] / case['sizes'][0] for case in cases)
        ends = [1, largest]
        axes.plot(ends, ends, color='#777777', linestyle='--', label='in proportion')
        for number, case in enumerate(cases):
            axes.plot(
                [size / case['sizes'][0] for size in case['sizes']],
                [seconds / case['seconds'][0] for seconds in case['seconds']],
                marker=_MARKS[number % len(_MARKS)],
                markersize=4,
                color=color(number),
                linewidth=1.2,
                label=f'{case["case"]}: {case["axis"]}',
            )
        use_log(axes.xaxis, largest)
        use_log(axes.yaxis, largest)
        axes.set_xlabel('size, in times of the smallest')
        axes.set_ylabel('time, in times of the smallest')
        axes.figure.legend(loc='outside upper center', ncols=1, fontsize=8)
        return save_figure(axes.figure)
