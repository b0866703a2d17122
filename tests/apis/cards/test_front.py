"""The numbers of the first page: current, and those that it asks for."""

import pytest
from support.paths import ROOT

from mmseg_ext.apis.cards.front import fill
from mmseg_ext.apis.cards.results_csv import write_records


def _run(seed, value, **others):
    return dict(
        dict(config='fmsi_x', seed=seed, iterations=800, parameters=1, init='random',
             metrics=dict(mIoU=dict(value=value)),
             dataset=dict(name='CamVidDataset', split='test', num_images=233)),
        **others,
    )  # fmt: skip


def test_the_first_page_is_current():
    text = (ROOT / 'README.md').read_text()
    assert text.count('<!-- result: ') == 4
    assert fill(text, ROOT / 'configs') == text, 'run: python tools/card.py --readme'


def test_the_first_page_gets_what_it_asks_for(tmp_path):
    folder = tmp_path / 'fmsi'
    folder.mkdir()
    write_records([_run(0, 0.5), _run(0, 0.6, max_iters=900, options='max_iters=900')], folder)
    page = 'a <!-- result: fmsi/fmsi_x -->81.65<!-- end --> b'
    assert fill(page, folder.parent) == (
        'a <!-- result: fmsi/fmsi_x -->mIoU 50.0 on CamVidDataset test (233 images), 800 '
        'iterations, one seed; start: random<!-- end --> b'
    )
    with pytest.raises(ValueError, match='asks for fmsi/gone, of which there is no run'):
        fill(page.replace('fmsi_x', 'gone'), folder.parent)
