"""The same images and masks, against dicts of all of them."""

import random

import numpy as np
import pytest

from mmseg_ext.apis.userdata.checks.findings import Sample
from mmseg_ext.apis.userdata.checks.same import one_of_each_mask, repeated, same_images
from mmseg_ext.apis.userdata.pairing import Pair
from mmseg_ext.core.spool import Spool
from mmseg_ext.datasets.mask_facts import MaskFacts


@pytest.fixture(params=range(4))
def samples(request):
    """600 with few different images and masks, some without either."""
    rng = random.Random(request.param)
    spool: Spool = Spool()
    for number in range(600):
        mask = f'mask{rng.randrange(400)}'
        digest = rng.choice(['', f'{rng.randrange(300):040x}', f'{rng.randrange(9):x}' * 40])
        facts = rng.choice([None, MaskFacts(mask, {number: 1}, {}, {})])
        pair = Pair(str(number), f'image{number}', mask)
        part = 'train' if number < 450 else 'val'
        spool.append(Sample(part, pair, digest=digest, blank=number % 5 == 0, facts=facts))
    return spool.all()


def test_images_by_their_digests(samples):
    wanted: dict = {}
    for sample in samples:
        if sample.digest and not sample.blank:
            wanted.setdefault(sample.digest, []).append(sample)
    wanted = [group for group in wanted.values() if len(group) > 1]
    found = same_images(samples)
    assert [group.first.count for group in found] == [len(group) for group in wanted]
    names = [[f'{s.part}: {s.pair.image}' for s in group[:5]] for group in wanted]
    assert [group.first.names for group in found] == names and len(found) > 10
    assert [group.parts for group in found] == [{s.part for s in group} for group in wanted]
    assert {'train'} in [group.parts for group in found]
    assert {'train', 'val'} in [group.parts for group in found]


def test_the_last_of_each_mask_at_the_place_of_the_first(samples):
    wanted = {s.pair.mask: s for s in samples if s.facts is not None}
    found = list(one_of_each_mask(samples))
    assert found == list(wanted.values()) and 100 < len(found) < 400


def test_numbers_that_occur_more_than_once():
    keys = np.random.default_rng(0).integers(0, 100, 120)
    wanted = [place for place, key in enumerate(keys) if (keys == key).sum() > 1]
    assert repeated(keys) == wanted and len(wanted) > 20
    assert repeated(keys[:0]) == repeated(keys[:1]) == []
