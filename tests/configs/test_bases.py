"""What configs inherit: no paper from a paper, few levels, nothing that no row reads."""

from functools import cache
from pathlib import Path

import pytest
from mmengine import Config
from support.paths import ROOT

import mmseg_ext  # noqa: F401  finds bases of mmseg:: without parsing its zoo

CONFIGS = ROOT / 'configs'
FILES = sorted(CONFIGS.rglob('*.py'))
ROWS = [p for p in FILES if '_base_' not in p.parts and not p.name.startswith('_')]
DATA_SETS = {p.stem for p in (CONFIGS / '_base_/datasets').glob('*.py')}

LEVELS = 5
LINES = 15  # settings of a row; most have two to ten
LONG = {  # auxiliary heads are a list, which is stated whole
    'setr_pup_vitl16_voc12aug',
    *(f'setr_{head}_{rest}' for head in ('naive', 'mla')
      for rest in ('vitb16_camvid180', 'vitl16_voc12aug')),
}  # fmt: skip
# these two do not end in their data set: the documented command's name, and lists of its own
OTHER_NAMES = {'fmsi_xception_voc': 'voc12aug', 'fmsi_xception_voc12_trainval91': 'voc12aug'}
WITHOUT_DATA_SET = {'mfp': 'bmseg'}  # of that paper's own tables


@cache
def bases_of(path):
    names = Config._get_base_files(str(path))
    return [Path(Config._get_cfg_path(name, str(path))[0]).resolve() for name in names]


@cache
def levels(path):
    return 1 + max(map(levels, bases_of(path)), default=0)


@cache
def files_of(path):
    return {path}.union(*map(files_of, bases_of(path)))


def home(path):
    """The folder of a config: a paper's or ``_base_``; ``mmseg`` for those of mmseg."""
    if not path.is_relative_to(CONFIGS):
        return 'mmseg'
    return path.relative_to(CONFIGS).parts[0]


def test_every_config_was_looked_at():
    assert len(ROWS) == 153 and len(FILES) >= 188
    assert {home(path) for path in FILES} == {
        '_base_', 'deeplabv2', 'fmsi', 'mfp', 'segnet', 'survey'
    }  # fmt: skip


def test_no_paper_inherits_a_paper():
    arrows = [(path, base) for path in FILES for base in bases_of(path)]
    assert len(arrows) > 250
    foreign = [f'{home(path)}/{path.name} <- {home(base)}/{base.name}' for path, base in arrows
               if home(base) not in (home(path), '_base_', 'mmseg')]  # fmt: skip
    assert foreign == []
    strange = {base.parent.parent.name for _, base in arrows if home(base) == 'mmseg'}
    assert strange == {'_base_'}, 'of mmseg, parts and no whole configs'


@pytest.mark.parametrize('path', ROWS, ids=[p.stem for p in ROWS])
def test_few_levels_and_short_rows(path):
    assert 2 <= levels(path) <= LEVELS
    text = [line.strip() for line in path.read_text().splitlines()]
    settings = [line for line in text if line and not line.startswith('#')]
    assert 2 <= len(settings) and (len(settings) <= LINES) == (path.stem not in LONG)


def test_the_first_row_is_read_from_five_files():
    files = files_of(CONFIGS / 'fmsi/fmsi_xception_voc.py')
    assert 2 <= len(files) <= 5, sorted(p.name for p in files)


def test_every_part_is_read_by_a_row():
    read = set().union(*map(files_of, ROWS))
    unread = {str(path.relative_to(CONFIGS)) for path in set(FILES) - read}
    assert unread == {'_base_/datasets/voc12.py'}  # a data set that no paper here trains on


@pytest.mark.parametrize('path', ROWS, ids=[p.stem for p in ROWS])
def test_a_name_ends_in_its_data_set(path):
    depth = {base: levels(base) for base in files_of(path) if base.parent.name == 'datasets'}
    data_set = max(depth, key=depth.__getitem__).stem  # CamVid at 240x180 inherits CamVid
    named = [word for word in sorted(DATA_SETS, key=len) if f'_{word}' in path.stem]
    expected = OTHER_NAMES.get(path.stem, (named or [WITHOUT_DATA_SET.get(home(path))])[-1])
    assert data_set == expected
