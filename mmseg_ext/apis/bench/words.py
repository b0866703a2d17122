"""What a benchmark prints of a case, by the kind of the case."""

from typing import Any, Optional

from ..draw.numbers import with_interval, with_spread

Case = dict[str, Any]


def lines_of(case: Case) -> list[str]:
    """Write a case as lines of text."""
    for key, write in (
        ('cpu_s', _start), ('images_per_second', _throughput), ('peak', _memory),
        ('sizes', _growth), ('noise', _losses), ('ranks', _ranks), ('limit_s', _limit),
    ):  # fmt: skip
        if key in case:
            return write(case)
    return _ratio(case)


def short(value: Optional[float]) -> str:
    """A number of any size in three digits."""
    return '–' if value is None else f'{value:.3g}'


def _ratio(case: Case) -> list[str]:
    cpu = f', of processor time {case["ratio_cpu"]:.2f}' if 'ratio_cpu' in case else ''
    lines = [
        f'{case["case"]}  against  {case["reference"]}',
        f'  {case["ours_ms"]:.2f} ms against {case["reference_ms"]:.2f} ms: '
        f'ratio {case["ratio"]:.2f} ({case["ratio_lowest"]:.2f}..{case["ratio_highest"]:.2f}){cpu}',
    ]
    if 'rate' in case:
        lines.append(f'  {case["rate"]:.3g} images a second against {case["reference_rate"]:.3g}')
    if 'max_difference' in case:
        lines.append(f'  largest difference {case["max_difference"]:.2g}')
    if 'equal_choice' in case:
        lines.append(f'  the same choice: {case["equal_choice"]}')
    if 'tensor_bytes' in case:
        held = (case[f'{side}tensor_bytes'] / 1e6 for side in ('', 'reference_'))
        lines.append('  {:.3g} MB of tensors at once against {:.3g}'.format(*held))
    if 'label_agreement' in case:
        lines.append(f'  equal labels {100 * case["label_agreement"]:.3f} %')
    for side, prefix in (('ours', ''), ('reference', 'reference_')):
        if f'{prefix}flops' in case:
            parameters, flops = case[f'{prefix}parameters'], case[f'{prefix}flops']
            lines.append(f'  {side}: {parameters:,} parameters, {flops / 1e9:.4g} GFLOPs an image')
    return lines


def _start(case: Case) -> list[str]:
    ours, theirs = (
        f'{case[f"{side}cpu_s"]:.2f} s ({case[f"{side}cpu_s_lowest"]:.2f}..'
        f'{case[f"{side}cpu_s_highest"]:.2f}), {case[f"{side}modules"]} modules'
        for side in ('', 'reference_')
    )
    return [
        f'{case["case"]}  against  {case["reference"]}',
        f'  processor time {ours} against {theirs}: ratio {case["ratio_cpu"]:.2f}',
    ]


def _throughput(case: Case) -> list[str]:
    lines = [
        f'{case["case"]}, {case["network"]}',
        f'  {case["images_per_second"]:.3g} images a second '
        f'({case["lowest"]:.3g}..{case["highest"]:.3g}); {case["parameters"]:,} parameters, '
        f'{case["flops"] / 1e9:.4g} GFLOPs an image',
    ]
    if 'label_agreement' in case:
        lines.append(f'  labels equal to those of mmseg {100 * case["label_agreement"]:.3f} %')
    return lines


def _memory(case: Case) -> list[str]:
    return [
        f'{case["case"]}  on  {case["device"]}',
        f'  activations {case["activations"] / 1e9:.2f} GB, peak {case["peak"] / 1e9:.2f} '
        f'GB, {case["seconds_per_image"]:.3f} s an image',
    ]


def _growth(case: Case) -> list[str]:
    rows = [
        f'  {size:>9,}: {short(seconds)} s, {short(held / 1e6)} MB'
        for size, seconds, held in zip(case['sizes'], case['seconds'], case['bytes'])
    ]
    slopes = [
        f'{short(case[f"{key}_exponent"])} in all, {short(case[f"{key}_last_exponent"])} at last'
        for key in ('seconds', 'bytes')
    ]
    return [
        f'{case["case"]}  against  {case["axis"]}',
        *rows,
        f'  exponents: of time {slopes[0]}; of memory {slopes[1]}',
    ]


def _losses(case: Case) -> list[str]:
    ours, theirs = (with_spread(case[f'{side}losses']) for side in ('', 'reference_'))
    apart = with_interval(case['difference'], case['difference_interval'])
    return [
        f'{case["case"]}  against  {case["reference"]}',
        f'  last quarter {ours} against {theirs}, in pairs {apart}',
        f'  a step differs by {case["mean_difference"]:.4f}, by noise {case["noise"]:.4f}',
    ]


def _ranks(case: Case) -> list[str]:
    return [
        f'{case["case"]}  {case["ranks"]} processes: {short(case["seconds"])} s a step, '
        f'{short(case["bytes"] / 1e6)} MB sent by each, {100 * case["efficiency"]:.0f} % of linear'
    ]


def _limit(case: Case) -> list[str]:
    return [f'{case["case"]}  {case["seconds"]:.2f} s, at most {case["limit_s"]:g} s wanted']
