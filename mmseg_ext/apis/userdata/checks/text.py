"""The outcome of a check as text and as rows of a table."""

from collections.abc import Iterable

from .findings import DataReport, Sample


def as_text(report: DataReport) -> str:
    """Format the report for a terminal."""
    lines = []
    for part in report.data.parts:
        samples = report.of(part)
        lines.append(f'{part}: {len(samples)} images of {size_text(samples)}')
    lines += ['', *_class_lines(report)]
    for title, found in (('ERROR', report.errors), ('warning', report.warnings)):
        for kind, messages in found.items():
            lines += ['', f'{title}: {kind} ({len(messages)})']
            lines += [f'  {" ".join(message.splitlines())}' for message in messages[:10]]
            lines += [f'  and {len(messages) - 10} more'] if len(messages) > 10 else []
    return '\n'.join(lines)


def size_text(samples: Iterable[Sample]) -> str:
    """List image sizes as height x width: all, or if they are many the smallest and largest."""
    sizes = sorted({sample.size for sample in samples if sample.digest})
    if len(sizes) <= 3:
        return ', '.join(f'{height}x{width}' for height, width in sizes)
    heights, widths = ([size[axis] for size in sizes] for axis in (0, 1))
    return f'{len(sizes)} sizes from {min(heights)}x{min(widths)} to {max(heights)}x{max(widths)}'


def class_rows(report: DataReport) -> list[list[str]]:
    """Tabulate for each class and split the share of pixels in per cent and the number of masks."""
    rows = [[name] for name in (*report.data.classes, 'ignored')]
    for part in report.data.parts:
        pixels, masks = report.pixels(part), report.masks_with(part)
        for row, own, seen in zip(rows, pixels, masks):
            row += [f'{100 * own / max(pixels.sum(), 1):.2f}', str(seen)]
    return rows


def class_head(report: DataReport) -> list[str]:
    """Return the header row for :func:`class_rows`."""
    return ['class', *(f'{part} {what}' for part in report.data.parts for what in ('%', 'masks'))]


def _class_lines(report: DataReport) -> list[str]:
    table = [class_head(report), *class_rows(report)]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        '  '.join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in table
    ]
