"""What a round chose, or what people labelled for it: images or regions, and their classes."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ...core.files import read_json, write_json
from ...core.masks import read_mask
from ..userdata.read import read_data_file
from ..userdata.scan import count_mask, pair_files
from .people_round import PeopleRound
from .plan import Plan
from .regions import available_kind
from .rounds import Round
from .subset import Pool

_FILE, _NEW_FILE = 'chosen_classes.json', 'new_classes.json'


def labelled_pool(plan: Plan, one: Round) -> Pool:
    """Open the images that have labels in a round, with their masks.

    Raises:
        FileNotFoundError: If the images have moved.
        ValueError: If the data set file of the round is damaged.
    """
    data = read_data_file(one.data_file)
    kind = None if plan.regions is None else available_kind(plan.regions)
    pairs = {pair.stem: pair for pair in pair_files(data, 'train').pairs}
    return Pool(data, pairs, kind, plan.size)


def by_image(pool: Pool, names: Iterable[str]) -> dict[str, list[int]]:
    """Sort names by their images.

    Returns:
        Numbers of the regions for each stem; empty lists for whole images.
    """
    found: dict[str, list[int]] = defaultdict(list)
    for name in names:
        numbers = found[pool.stem_of(name)]
        if pool.regions is not None:
            numbers.append(int(name.rpartition('#')[2]))
    return dict(found)


def chosen_pixels(plan: Plan, one: Round) -> dict[str, int]:
    """Count the pixels of each class in what a round chose, without ignored ones.

    The masks are read once: the counts are kept in the round's folder.

    Raises:
        FileNotFoundError: If the images or masks have moved.
        ValueError: If a mask cannot be read.
    """
    path = one.folder / _FILE
    if path.is_file():
        return read_json(path)
    pool = labelled_pool(plan, one)
    pixels = np.zeros(len(pool.data.classes) + 1, np.int64)
    for stem, numbers in by_image(pool, one.names('chosen')).items():
        mask = read_mask(pool.pairs[stem].mask, colors=pool.data.color_masks)
        if pool.regions is not None:
            mask = mask[np.isin(pool.regions_of(stem), numbers)][None]
        pixels += count_mask(pool.data, mask).pixels
    found = dict(zip(pool.data.classes, pixels.tolist()))
    write_json(path, found)
    return found


def new_pixels(one: PeopleRound, before: PeopleRound) -> dict[str, int]:
    """Count the pixels of each class in masks that one round has and the round before had not.

    The masks are read once: the counts are kept in the round's folder. Ignored pixels do not count.

    Raises:
        FileNotFoundError: If the images or masks have moved.
        ValueError: If a mask cannot be read, or it is not known where it lies.
    """
    path = one.folder / _NEW_FILE
    if path.is_file():
        return read_json(path)
    dataset = one.asked().get('dataset')
    if dataset is None:
        raise ValueError('an older version made this round, and did not note its data set')
    data = read_data_file(dataset)
    pairs = {pair.stem: pair for pair in pair_files(data, 'train').pairs}
    pixels = np.zeros(len(data.classes) + 1, np.int64)
    for stem in new_names(one, before):
        if stem not in pairs:
            raise ValueError(f'{dataset}: {stem} has no mask in train any more')
        pixels += count_mask(data, read_mask(pairs[stem].mask, colors=data.color_masks)).pixels
    found = dict(zip(data.classes, pixels.tolist()))
    write_json(path, found)
    return found


def new_names(one: PeopleRound, before: PeopleRound) -> list[str]:
    """Name the images that have masks in one round and had none in the round before."""
    return sorted({*one.names('labelled')} - {*before.names('labelled')})
