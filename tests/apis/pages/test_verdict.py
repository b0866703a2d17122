"""The wording of verdicts, case by case: what the test had, and what may be said."""

import pytest

from mmseg_ext.apis.pages.verdict import shortfall, verdict

IMAGES = dict(unit='image', units=24)
FRAMES = dict(unit='frame', units=233, videos=dict(one=124, two=109))


@pytest.mark.parametrize(
    'difference, p, units, trainings, text',
    [
        (0.02, 0.001, IMAGES, (2, 3), 'better on 24 images (2 runs against 3)'),
        (-0.02, 0.049, IMAGES, (2, 2), 'worse on 24 images (2 runs against 2)'),
        (0.02, 0.05, IMAGES, (2, 2), 'no difference shown (24 images, 2 runs against 2)'),
        (0.02, None, IMAGES, (2, 2), 'no difference shown (24 images, 2 runs against 2)'),
        # what the test lacks is said, whatever its p
        (0.02, 0.001, dict(IMAGES, units=12), (2, 2), 'not enough to tell: 12 images (20 needed)'),
        (0.02, 0.001, dict(unit='patient', units=19), (3, 3),
         'not enough to tell: 19 patients (20 needed)'),
        (0.02, 0.001, IMAGES, (1, 2),
         'not enough to tell: 1 run against 2 (2 of each needed)'),
        (0.02, 0.9, dict(IMAGES, units=1), (1, 1),
         'not enough to tell: 1 image (20 needed), 1 run against 1 (2 of each needed)'),
        (0.02, 0.001, FRAMES, (2, 2),
         'not enough to tell: 233 frames of 2 videos (20 videos needed)'),
        (0.02, 0.001, dict(unit='video', units=20), (2, 2),
         'better on 20 videos (2 runs against 2)'),
    ],
)  # fmt: skip
def test_a_verdict_takes_what_its_test_needs(difference, p, units, trainings, text):
    said = verdict(difference, p, units, trainings)
    assert said.text == text
    assert said.enough == (not text.startswith('not enough'))


@pytest.mark.parametrize(
    'trained, scheduled, text',
    [
        (10, 40000, 'trained 10 of 40,000 iterations'),
        (19999, 40000, 'trained 19,999 of 40,000 iterations'),
        (20000, 40000, ''),  # a best checkpoint may lie there
        (40000, 40000, ''),
        (10, None, ''),
        (None, 40000, ''),
        (0, 40000, ''),
    ],
)
def test_a_short_training_is_said(trained, scheduled, text):
    assert shortfall(trained, scheduled) == text
