"""Write the benchmarks kept beside a paper's results as a page of ``docs/results``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ...core.files import read_json
from ..draw.markdown import markdown_table
from ..draw.numbers import with_interval, with_spread
from .speed_figure import draw, figure_name, has_figure

Case = dict[str, Any]
Columns = Sequence[tuple[str, Callable[[Case], str]]]

SPEED_FILES = 'benchmark_*.json'
# what the page says to the test that runs documented commands
NOT_RUN = (
    '<!-- not run (tools/benchmark.py): measures for minutes; tests/apis/bench has small cases -->'
)


def _gflops(case: Case, side: str = '') -> str:
    flops = case.get(f'{side}flops')
    return '–' if flops is None else f'{flops / 1e9:.4g}'


def _count(case: Case, side: str = '') -> str:
    parameters = case.get(f'{side}parameters')
    return '–' if parameters is None else f'{parameters:,}'


def _share(case: Case) -> str:
    """Share of the rate that the machine reached in products, in the same run."""
    if not case.get('peak_flops'):
        return '–'
    rate = case['flops'] * case['images'] / case['ours_ms'] * 1e3
    return f'{100 * rate / case["peak_flops"]:.0f}'


def _times(case: Case) -> str:
    ratios = [1 / case[key] for key in ('ratio', 'ratio_highest', 'ratio_lowest')]
    middle, low, high = (f'{ratio:.2f}' if ratio < 10 else f'{ratio:.0f}' for ratio in ratios)
    return f'{middle} ({low} to {high})'


def _giga(value: Optional[float]) -> str:
    return '–' if value is None else f'{value / 1e9:.2f}'


def _mega(value: Optional[int]) -> str:
    return '–' if value is None else f'{value / 1e6:.3g}'


def _percent(value: Optional[float]) -> str:
    return '–' if value is None else f'{100 * value:.3f}'


def _span(values: Sequence[float]) -> str:
    return f'{values[0]:.3g} to {values[-1]:.3g}'


def _slopes(case: Case, key: str) -> str:
    """The exponent in all, and between the two largest sizes."""
    both = (case[f'{key}_exponent'], case[f'{key}_last_exponent'])
    return '–' if both[0] is None else '{:.2f} ({:.2f} at last)'.format(*both)


def _rate(case: Case, side: str = '') -> str:
    rate = case.get(f'{side}rate')
    return '–' if rate is None else f'{rate:.3g}'


def _difference(case: Case) -> str:
    """Where no labels are compared, which say more."""
    value = None if 'label_agreement' in case else case.get('max_difference')
    return '–' if value is None else f'{value:.1g}'


def _pairs(case: Case) -> str:
    """The mean difference of a seed's two losses; files of one training have none."""
    if 'difference' not in case:
        return '–'
    return with_interval(case['difference'], case['difference_interval'])


_TIME: Columns = (
    ('case', lambda c: c['case']),
    ('against', lambda c: c['reference']),
    ('parameters', _count),
    ('GFLOPs', _gflops),
    ('GFLOPs of the other', lambda c: _gflops(c, 'reference_')),
    ('ms', lambda c: f'{c["ours_ms"]:.3g}'),
    ('ms of the other', lambda c: f'{c["reference_ms"]:.3g}'),
    ('times as long', _times),
    ('images a second', _rate),
    ('images a second of the other', lambda c: _rate(c, 'reference_')),
    ('largest difference', _difference),
    ('% of the best rate', _share),
    ('MB of tensors', lambda c: _mega(c.get('tensor_bytes'))),
    ('MB of the other', lambda c: _mega(c.get('reference_tensor_bytes'))),
    ('memory of the process, GB', lambda c: _giga(c.get('process_peak'))),
    ('equal labels, %', lambda c: _percent(c.get('label_agreement'))),
)
_GROWTH: Columns = (
    ('cost', lambda c: c['case']),
    ('against', lambda c: c['axis']),
    ('from, to', lambda c: f'{c["sizes"][0]:,} to {c["sizes"][-1]:,}'),
    ('s', lambda c: _span(c['seconds'])),
    ('exponent of time', lambda c: _slopes(c, 'seconds')),
    ('MB', lambda c: _span([held / 1e6 for held in c['bytes']])),
    ('exponent of memory', lambda c: _slopes(c, 'bytes')),
)
_LOSSES: Columns = (
    ('case', lambda c: c['case']),
    ('against', lambda c: c['reference']),
    ('loss of the last quarter', lambda c: with_spread(c.get('losses', [c['loss']]))),
    ('loss of the other', lambda c: with_spread(c.get('reference_losses', [c['reference_loss']]))),
    ('difference, of pairs (95 %)', _pairs),
    ('difference of a step', lambda c: f'{c["mean_difference"]:.4f}'),
    ('noise of a step', lambda c: f'{c["noise"]:.4f}'),
)
_RANKS: Columns = (
    ('case', lambda c: c['case']),
    ('processes', lambda c: f'{c["ranks"]}'),
    ('s a step', lambda c: f'{c["seconds"]:.3g}'),
    ('MB sent by each', lambda c: f'{c["bytes"] / 1e6:.3g}'),
    ('% of linear', lambda c: f'{100 * c["efficiency"]:.0f}'),
)
_LIMITS: Columns = (
    ('case', lambda c: c['case']),
    ('s', lambda c: f'{c["seconds"]:.2f}'),
    ('s wanted at most', lambda c: f'{c["limit_s"]:g}'),
)
_MEMORY: Columns = (
    ('case', lambda c: c['case']),
    ('device', lambda c: c['device']),
    ('activations, GB', lambda c: f'{c["activations"] / 1e9:.2f}'),
    ('peak, GB', lambda c: f'{c["peak"] / 1e9:.2f}'),
    ('s an image', lambda c: f'{c["seconds_per_image"]:.3f}'),
)
_NAMED = {
    'onnxruntime', 'openvino', 'segmentation-models-pytorch', 'transformers', 'ultralytics',
}  # fmt: skip
_THROUGHPUT: Columns = (
    ('program', lambda c: c['case']),
    ('network', lambda c: c['network']),
    ('parameters', _count),
    ('GFLOPs', _gflops),
    (
        'images a second',
        lambda c: f'{c["images_per_second"]:.3g} ({c["lowest"]:.3g} to {c["highest"]:.3g})',
    ),
    ("labels equal to mmseg's, %", lambda c: _percent(c.get('label_agreement'))),
)
_KINDS = (  # the first key that a case has says its columns
    ('peak', _MEMORY), ('images_per_second', _THROUGHPUT), ('sizes', _GROWTH), ('noise', _LOSSES),
    ('ranks', _RANKS), ('limit_s', _LIMITS), ('case', _TIME),
)  # fmt: skip


def speed_section(folder: Union[str, Path]) -> list[str]:
    """Return the lines of the tables, none where nothing was measured.

    Args:
        folder: ``configs/<paper>``; reads ``results/benchmark_*.json``, as
            ``tools/benchmark.py --out`` writes them.

    Raises:
        ValueError: If a file is something else.
    """
    lines: list[str] = []
    for path in _files(folder):
        record = read_json(path)
        absent = [key for key in ('command', 'hardware', 'versions', 'cases') if key not in record]
        if absent or not record['cases']:
            raise ValueError(
                f'{path} lacks {", ".join(absent) or "cases"}: write it with '
                'tools/benchmark.py --out'
            )
        lines += _table(record, _picture(path, record, folder))
    return lines


def _picture(path: Path, record: dict, folder: Union[str, Path]) -> list[str]:
    if not has_figure(record['cases']):
        return []
    name = figure_name(path, Path(folder).resolve().name)
    return [f'![The same, drawn: {path.stem}]({name})', '']


def speed_pictures(folder: Union[str, Path]) -> dict[str, bytes]:
    """Draw the figures of the page: file name to content."""
    paper = Path(folder).resolve().name
    found = {path: read_json(path)['cases'] for path in _files(folder)}
    return {
        figure_name(path, paper): draw(cases) for path, cases in found.items() if has_figure(cases)
    }


def speed_lines(folder: Union[str, Path]) -> list[str]:
    """What a card says of the benchmarks, which have a page of their own."""
    count = sum(len(read_json(path)['cases']) for path in _files(folder))
    if not count:
        return []
    return [f'Speed and memory: [{count} cases](../../docs/results/{page_name(folder)}).', '']


def page_name(folder: Union[str, Path]) -> str:
    """Name of the page of a paper's benchmarks."""
    return f'{Path(folder).resolve().name}_speed.md'


def speed_page(folder: Union[str, Path]) -> str:
    """Write the page of a paper's benchmarks, empty where nothing was measured."""
    lines = speed_section(folder)
    title = f'# Speed and memory: configs/{Path(folder).resolve().name}'
    return '\n'.join([title, NOT_RUN, '', *lines]).rstrip() + '\n' if lines else ''


def _files(folder: Union[str, Path]) -> list[Path]:
    return sorted((Path(folder) / 'results').glob(SPEED_FILES))


def _with_peak(case: Case, peaks: dict[str, float]) -> Case:
    known = {'flops', 'images', 'product'} <= case.keys()
    return dict(case, peak_flops=peaks.get(case['product']) if known else None)


def _machine(peaks: dict[str, float]) -> str:
    if not peaks:
        return ''
    half = f' and {peaks["bfloat16"] / 1e9:.0f} in bfloat16' if 'bfloat16' in peaks else ''
    return (
        f' Products reach {peaks["float32"] / 1e9:.0f} GFLOP/s in float32{half}, '
        f'copies {peaks["copy"] / 1e9:.1f} GB/s.'
    )


def _notes(notes: Sequence[str]) -> list[str]:
    """What could not be measured, and why."""
    return ['Left out:', '', *(f'- {note}' for note in notes), ''] if notes else []


def _versions(versions: dict[str, str]) -> str:
    names = ['torch', *sorted(versions.keys() & _NAMED)]
    return ', '.join(f'{name} {versions[name]}' for name in names)


def _how(columns: Columns, repeats: int) -> str:
    if columns is _LOSSES:
        if repeats == 1:
            return 'one training of each kind'
        return f'{repeats} trainings of each kind, mean ± standard deviation over seeds'
    alone = columns in (_GROWTH, _RANKS, _LIMITS)
    return (
        f'{repeats} calls of each' if alone else f'medians of {repeats} calls, all sides by turns'
    )


def _shared_peer(cases: Sequence[Case]) -> str:
    """What all of several cases are compared with, in words, if it is one."""
    peers = {case['reference'] for case in cases}
    return f', against {peers.pop()}' if len(peers) == 1 < len(cases) else ''


def _table(record: dict, picture: Sequence[str] = ()) -> list[str]:
    columns = next(columns for key, columns in _KINDS if key in record['cases'][0])
    cases = [_with_peak(case, record.get('peaks') or {}) for case in record['cases']]
    rows = [[write(case) for _, write in columns] for case in cases]
    peer = _shared_peer(cases) if columns is _TIME else ''
    said = 'against' if peer else ''  # once, below the table
    kept = [
        i
        for i, (title, _) in enumerate(columns)
        if title != said and any(row[i] != '–' for row in rows)
    ]
    titles = [columns[i][0] for i in kept]
    commit = (record.get('commit') or 'unknown')[:7] + ('+' if record.get('dirty') else '')
    return [
        f'`{record["command"]}`',
        '',
        *picture,
        *markdown_table(titles, [[row[i] for i in kept] for row in rows]),
        '',
        *_notes(record.get('notes') or []),
        f'{record["hardware"]}, {record["threads"]} threads of {_versions(record["versions"])}, '
        f'{record["date"]}, commit {commit}; {_how(columns, record["repeats"])}{peer}.'
        + _machine(record.get('peaks') or {}),
        '',
    ]
