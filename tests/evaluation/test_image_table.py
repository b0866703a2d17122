"""Scores of single images: by hand, the worst first, and as a table a part of them at once."""

import numpy as np
import pytest

from mmseg_ext.core.files import write_csv
from mmseg_ext.evaluation import image_table as of_images
from mmseg_ext.evaluation.image_counts import ImageCounts
from mmseg_ext.evaluation.image_table import image_scores, image_table, worst_first

ROWS = np.array([
    [[6, 0, 0], [8, 0, 2], [6, 4, 0]],  # IoU 6/8, 0, 0 of what 6 + 4 pixels hold
    [[10, 0, 0], [10, 0, 0], [10, 0, 0]],
    [[0, 0, 0], [0, 0, 0], [0, 0, 0]],  # nothing is labelled
    [[1, 0, 2], [3, 0, 2], [1, 2, 2]],  # IoU 1/3, 0, 1
])  # fmt: skip


def test_scores_by_hand():
    scores = image_scores(ROWS)
    np.testing.assert_allclose(scores['mIoU'], [0.75 / 3, 1, np.nan, 4 / 9])
    np.testing.assert_allclose(scores['aAcc'], [0.6, 1, np.nan, 0.6])
    found = worst_first(ROWS)
    assert [place for place, _ in found] == [0, 3, 1]
    assert found[1][1] == pytest.approx(4 / 9)


@pytest.mark.parametrize('chunk', [3, 256])
def test_table(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(of_images, '_CHUNK', chunk)
    counts = ImageCounts(3)
    for name, group, row in zip('abcd', ('p', None, 'q', 'q'), ROWS):
        counts.append(*row, name, group)
    path = write_csv(tmp_path / 'images.csv', *image_table(counts, ['x', 'y', 'z, z']))
    assert path.read_text().splitlines() == [
        'image,group,pixels,mIoU,aAcc,mDice,IoU x,IoU y,"IoU z, z"',
        'a,p,10,25.0000,60.0000,28.5714,75.0000,0.0000,0.0000',
        'b,,10,100.0000,100.0000,100.0000,100.0000,,',
        'c,q,0,,,,,,',
        'd,q,5,44.4444,60.0000,50.0000,33.3333,0.0000,100.0000',
    ]
