"""The page section about what was chosen: thumbnails of each round, and all names.

Shape letters: H row, W column.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Optional

import numpy as np

from ...core.labels import evenly
from ...core.reading import read_shown
from ...core.words import USER_ERRORS, message_of
from ..draw.blocks import Example, Examples, Fold, Listing, Note, Pair, Picture, Section, section
from ..draw.pixels import to_display
from ..labels.contents import by_image, labelled_pool
from ..labels.regions import regions_of
from ..labels.rounds import Round
from ..labels.subset import Pool
from .active_data import ActiveData
from .examples import photo

THUMBNAILS = 4  # of a round
_WIDTH = 320
_FADED = 0.75  # weight of white outside of the regions that were chosen


class _Thumbnail(NamedTuple):
    """What a thumbnail shows: a file, and the kind, size and numbers of the chosen regions."""

    path: str
    kind: Optional[str]
    size: int
    numbers: tuple[int, ...]


def choices(data: ActiveData) -> Optional[Section]:
    """Show some of what each round chose, of the first seed that has finished rounds."""
    folds: list[Fold] = []
    for strategy in data.plan.strategies:
        seeds = {seed: done for seed, done in data.finished[strategy].items() if done}
        if not seeds:
            continue
        first, done = next(iter(seeds.items()))
        examples = Examples(_examples(data, list(done.values())))
        lines = [
            f'seed {seed}, round {number}: {", ".join(one.names("chosen"))}'
            for seed, rounds in seeds.items()
            for number, one in rounds.items()
        ]
        listing = Fold('All names', [Listing(lines)])
        key, remark = data.key(strategy), f'(seed {first})'
        folds.append(Fold(strategy, [examples, listing], not folds, key, remark))
    note = (
        f'At most {THUMBNAILS} of each round, evenly spaced in the order of the choice. A click '
        'enlarges. Round 0 was drawn at random.'
    )
    faded = ' What was not chosen is pale.' if data.plan.regions else ''
    return section('What was chosen', Note(note + faded), *folds) if folds else None


def _examples(data: ActiveData, rounds: list[Round]) -> list[Example]:
    try:
        pool: Optional[Pool] = labelled_pool(data.plan, rounds[-1])
        why = ''
    except USER_ERRORS as error:
        pool, why = None, message_of(error)
    return [_example(data, one, pool, why) for one in rounds]


def _example(data: ActiveData, one: Round, pool: Optional[Pool], why: str) -> Example:
    names = one.names('chosen')
    caption = f'round {one.number}: {len(names)} {data.kind}'
    if pool is None:
        return Example(caption, [Pair('', [], missing=f'no pictures: {why}')])
    images = by_image(pool, names)
    pairs = [_pair(pool, stem, images[stem], one) for stem in evenly(list(images), THUMBNAILS)]
    if data.plan.regions:
        caption += f' of {len(images)} images'
    return Example(caption, pairs)


def _pair(pool: Pool, stem: str, numbers: list[int], one: Round) -> Pair:
    kind = pool.regions
    alt = f'{stem}, chosen in round {one.number} by {one.strategy}'
    path = pool.pairs[stem].image if stem in pool.pairs else None
    return thumbnail(stem, path, alt, kind=kind, size=pool.size, numbers=numbers)


def thumbnail(
    title: str,
    path: Optional[str],
    alt: str,
    *,
    kind: Optional[str] = None,
    size: int = 0,
    numbers: Sequence[int] = (),
) -> Pair:
    """Show an image, or why there is none.

    Args:
        title: Its name.
        path: Its file; ``None`` if there is none.
        alt: Alternative text.
        kind: Kind of regions of which some were chosen; ``None`` for the whole image.
        size: Side of a region.
        numbers: Those chosen; the others are pale.
    """
    if path is None:
        return Pair(title, [], missing='no image of this name')
    try:
        return Pair(title, [_picture(_Thumbnail(path, kind, size, tuple(numbers)), alt)])
    except USER_ERRORS as error:
        return Pair(title, [], missing=message_of(error))


@lru_cache(maxsize=4096)  # the page is written again after each round
def _picture(shown: _Thumbnail, alt: str) -> Picture:
    image = read_shown(shown.path)
    picture = to_display(image)
    if shown.kind is not None:
        inside = np.isin(regions_of(image, shown.kind, shown.size), shown.numbers)
        pale = picture * (1 - _FADED) + 255 * _FADED
        picture = np.where(inside[..., None], picture, pale).round().astype(np.uint8)
    return photo(picture, _WIDTH, alt=alt)
