"""Print the results of a cross validation as text, in per cent."""

from prettytable import PrettyTable

from ...evaluation.intervals import brackets
from ...evaluation.summary import class_table, mean_table, score_text
from .summary import UNIT_SCORES, FoldSummary

SHOWN = ('mIoU', 'mDice', 'mPA', 'mPrecision', 'aAcc')


def _scale(score: str) -> float:
    return 1 if score == 'HD95' else 100


def fold_table(result: FoldSummary) -> str:
    """Return a table with one line per fold, then mean, standard deviation and pooled scores."""
    scores = [name for name in (*SHOWN, *UNIT_SCORES) if name in result.per_fold]
    table = PrettyTable(['Fold', 'Images', 'Checkpoint', *scores])
    for place, fold in enumerate(result.folds):
        values = [score_text(result.per_fold[s].values[place], _scale(s)) for s in scores]
        table.add_row([fold, result.num_images[place], result.checkpoints[place], *values])
    table.add_divider()
    for label, key in (('mean', 'mean'), ('sd (ddof=1)', 'sd')):
        values = [score_text(getattr(result.per_fold[s], key), _scale(s)) for s in scores]
        table.add_row([label, '', '', *values])
    pooled = result.pooled['metrics']
    values = [score_text(pooled[s]['value']) if s in pooled else '' for s in scores]
    table.add_row(['pooled', sum(result.num_images), '', *values])
    return table.get_string()


def unit_table(result: FoldSummary) -> str:
    """Return a table that sums up the scores per patient or per image."""
    table = PrettyTable(
        [
            f'Per {result.unit}',
            'Mean',
            '95 % interval',
            'sd (ddof=1)',
            'Median',
            'n',
            'undefined',
        ]
    )
    for score in UNIT_SCORES:
        entry, scale = result.per_unit[score], _scale(score)
        mean, sd, median = (
            score_text(value, scale) for value in (entry.mean, entry.sd, entry.median)
        )
        ends = brackets((entry.low, entry.high), scale).strip() or '-'
        table.add_row([score, mean, ends, sd, median, entry.count, entry.undefined])
    return table.get_string()


def format_folds(result: FoldSummary) -> str:
    """Return all tables and warnings of a cross validation as one text."""
    lines = [
        f'{result.facts["config"]}: {len(result.folds)} of {result.num_folds} folds '
        f'({result.splitter}, split seed {result.split_seed}, pool {result.pool}, '
        f'seed {result.facts["seed"]})',
    ]
    if result.missing:
        lines.append(f'INCOMPLETE: folds {result.missing} are missing from every number below')
    if any(str(name).startswith('best') for name in result.checkpoints):
        lines.append('OPTIMISTIC: the best epoch was chosen on the images that it is scored on')
    lines += [fold_table(result), 'pooled over held-out images, per class, in per cent:']
    lines += [
        class_table(result.pooled),
        mean_table(result.pooled),
        unit_table(result),
    ]
    if result.spacing is None:
        lines.append('HD95 and surface Dice were not measured: these tests are older than that')
    else:
        row, column = result.spacing
        lines.append(
            f'HD95 in the unit of the spacing, {row:g} x {column:g} for a pixel; surface Dice '
            f'with a tolerance of {result.tolerance:g}. A mask that is empty in prediction and '
            'truth is undefined; empty in one of them it has the diagonal of the image and 0.'
        )
    return '\n'.join(lines)
