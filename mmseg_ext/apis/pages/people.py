"""Write the HTML page about rounds of labelling with people, from their files alone.

It has what the page about simulated rounds has, as far as it is known: the score of each round over
the number of labelled images, what each round changed, and what was chosen. There is one training a
round, so there are no areas, tests or means over seeds.
"""

from pathlib import Path
from typing import Any, Optional

from ...core.files import PathLike
from ...core.labels import evenly
from ..draw.blocks import (
    Cell,
    Example,
    Examples,
    Facts,
    Figures,
    Fold,
    Line,
    Listing,
    Note,
    Pair,
    Section,
    Table,
    embed,
    section,
)
from ..draw.figures import draw_budget
from ..labels.people_round import PeopleRound, people_rounds
from .active import write_rounds_page
from .active_changes import list_changes
from .active_choices import THUMBNAILS, thumbnail
from .numbers import NONE, between
from .people_data import PEOPLE, PeopleData

_SCORES = (
    'mIoU on the test images (those of val where the data have no test), with the last checkpoint '
    'of each round, and its 95 % interval over them. A round is one training with a seed of its '
    'own: a change well inside the intervals may be chance. A paired test of two rounds: '
    'tools/report.py WORK_DIR/round1/run WORK_DIR/round2/run.'
)
_CHANGES = (
    'Against the round before, in percentage points. In the last column the largest classes among '
    'the pixels of the masks that are new in the round.'
)


def write_people_report(
    work_dir: PathLike, out: Optional[PathLike] = None, *, title: Optional[str] = None
) -> Path:
    """Write a page about the rounds of a folder.

    Args:
        work_dir: Folder of the rounds.
        out: HTML file, overwritten in one step; default: ``active_learning.html`` in the folder.
        title: Heading of the page; default: names config and data set.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If the folder holds no rounds with people.
        ValueError: If a file of the rounds is damaged.
    """
    folder = Path(work_dir)
    rounds = tuple(people_rounds(folder))
    if not rounds:
        raise FileNotFoundError(f'{folder} holds no rounds with people')
    data = PeopleData(folder, rounds)
    found = [_scores(data), _changes(data), _choices(data), _facts(data)]
    name = title or _title(rounds[-1].asked())
    return write_rounds_page(folder, out, title=name, lead=data.state(), found=found)


def _title(asked: dict[str, Any]) -> str:
    about = [Path(asked[key]).stem for key in ('config', 'dataset') if key in asked]
    return ': '.join(
        ['Labelling in rounds', ' on '.join(about)] if about else ['Labelling in rounds']
    )


def _scores(data: PeopleData) -> Section:
    lines = [_line(data, one) for one in data.rounds]
    head = ('round', 'labelled images', 'new', 'mIoU, %', 'chosen next', 'of these came back')
    table = Table(head, lines, 'mIoU and labelled images of each round')
    return section('Scores', Note(_SCORES), _curve(data), table)


def _curve(data: PeopleData) -> Optional[Figures]:
    """Draw mIoU over labelled images; ``None`` of fewer than two points."""
    scores = [(one, data.score(one)) for one in data.rounds]
    points = [
        (float(len(one.names('labelled'))), 100 * score.value)
        for one, score in scores
        if score is not None and score.value is not None
    ]
    if len(points) < 2:
        return None
    drawn = draw_budget(
        {0: [points]}, {0: points}, xlabel='labelled training images', ylabel='mIoU in %'
    )
    words = ', '.join(f'{score:.1f} of {count:.0f} images' for count, score in points)
    return Figures(
        [embed(drawn, 'mIoU over labelled images', f'mIoU over labelled images: {words}')]
    )


def _line(data: PeopleData, one: PeopleRound) -> Line:
    score, before, count = data.score(one), data.before(one), len(one.names('labelled'))
    new = NONE if before is None else str(count - len(before.names('labelled')))
    chosen = str(len(one.names('chosen'))) if one.file('chosen').is_file() else NONE
    back = str(len(data.returned(one))) if one.is_over else NONE
    value = Cell(NONE)
    if score is not None and score.value is not None:
        ends = between((score.low, score.high))
        value = Cell(f'{100 * score.value:.1f}', (ends,) if ends else ())
    return Line(
        Cell(str(one.number)), [Cell(str(count)), Cell(new), value, Cell(chosen), Cell(back)]
    )


def _changes(data: PeopleData) -> Optional[Section]:
    blocks = list_changes(data, PEOPLE, 'new labelled pixels')
    return section('What each round changed', Note(_CHANGES), *blocks) if blocks else None


def _choices(data: PeopleData) -> Optional[Section]:
    rounds = [one for one in data.rounds if one.names('chosen')]
    if not rounds:
        return None
    note = (
        f'What the model of a round chose to be labelled next: at most {THUMBNAILS} of each round, '
        'evenly spaced in the order of the choice. A click enlarges.'
    )
    names = Fold('All names', [Listing([_names(data, one) for one in rounds])])
    examples = Examples([_example(data, one) for one in rounds])
    return section('What was chosen', Note(note), examples, names)


def _example(data: PeopleData, one: PeopleRound) -> Example:
    names, strategy = one.names('chosen'), one.asked().get('strategy')
    caption = f'round {one.number}: {len(names)} images' + (f' by {strategy}' if strategy else '')
    files, why = data.images(one)
    if why:
        return Example(caption, [Pair('', [], missing=f'no pictures: {why}')])
    shown = [
        thumbnail(name, files.get(name), f'{name}, chosen in round {one.number}')
        for name in evenly(names, THUMBNAILS)
    ]
    return Example(caption, shown)


def _names(data: PeopleData, one: PeopleRound) -> str:
    back = {*data.returned(one)}
    marked = [
        name if name in back or not one.is_over else f'{name} (no mask)'
        for name in one.names('chosen')
    ]
    return f'round {one.number}: {", ".join(marked)}'


def _facts(data: PeopleData) -> Section:
    """List what the last call was asked for, and the strategy of each round."""
    asked = data.rounds[-1].asked()
    strategies = [
        f'{one.number}: {one.asked()["strategy"]}'
        for one in data.rounds
        if 'strategy' in one.asked()
    ]
    known = {
        'config': asked.get('config'),
        'data set': asked.get('dataset'),
        'images to choose of': asked.get('images'),
        'labelling tool': asked.get('tool'),
        'strategy of each round': ', '.join(strategies),
        'options': ' '.join(asked.get('options') or ()),
        'rounds': str(len(data.rounds)),
    }
    return section('The rounds', Facts({name: text for name, text in known.items() if text}))
