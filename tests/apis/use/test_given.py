"""Models and images as users name them."""

import io
from pathlib import Path

import pytest

import mmseg_ext
from mmseg_ext import apis
from mmseg_ext.apis.use.given import config_file, find_inputs, find_model


@pytest.fixture(scope='module')
def run(tiny_config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('given') / 'run'
    apis.train(apis.load_config(tiny_config, work_dir=folder, options=dict(max_iters=2)))
    return folder


def test_a_config_and_a_checkpoint_are_two_words(tiny_config, run) -> None:
    given = find_model([str(tiny_config), 'gone.pth', 'photos', 'b.png'])
    assert (given.config, given.checkpoint) == (str(tiny_config), 'gone.pth')
    assert given.inputs == ('photos', 'b.png')
    with pytest.raises(FileNotFoundError, match='no checkpoint .*gone.pth'):
        given.load(device='cpu')
    odd = run.parent / 'weights.bin'  # of any name
    odd.write_bytes(next(run.glob('*.pth')).read_bytes())
    assert find_model([str(tiny_config), str(odd), 'a']).checkpoint == str(odd)


def test_a_work_folder_is_one_word(run, tiny_data, tmp_path) -> None:
    given = find_model([str(run), str(tiny_data / 'img')])
    assert Path(given.checkpoint).parent == run and given.inputs == (str(tiny_data / 'img'),)
    assert Path(given.config).suffix == '.py'
    label = apis.Predictor(given.load(device='cpu'))(tiny_data / 'img/0.png').label
    assert label.shape == (40, 40)
    last = str(run / 'iter_2.pth')
    named = find_model([str(run), last, 'a.png'])  # and a checkpoint may follow it
    assert (named.config, named.checkpoint, named.inputs) == (given.config, last, ('a.png',))
    with pytest.raises(ValueError, match='net.onnx holds its weights: leave .*iter_2.pth out'):
        find_model(['net.onnx', last, 'a.png'])
    with pytest.raises(ValueError, match='is the work folder of no run'):
        find_model([str(tiny_data), 'a.png'])


def test_a_config_alone_takes_what_its_work_folder_holds(run, tiny_config, monkeypatch) -> None:
    monkeypatch.chdir(run.parent)
    with pytest.raises(FileNotFoundError, match='give a checkpoint after .*tiny.py'):
        find_model([str(tiny_config), 'a.png'])
    Path('work_dirs').mkdir()
    Path('work_dirs/tiny').symlink_to(run)
    given = find_model([str(tiny_config), 'a.png'])
    assert Path(given.checkpoint).resolve().parent == run and given.inputs == ('a.png',)


def test_configs_have_names() -> None:
    whole = Path(config_file('fmsi_xception_voc'))
    assert whole.is_file() and whole.parts[-2:] == ('fmsi', 'fmsi_xception_voc.py')
    assert config_file('fmsi/fmsi_xception_voc') == str(whole)
    assert config_file('mmseg_ext::a.py') == 'mmseg_ext::a.py'
    with pytest.raises(FileNotFoundError, match='did you mean fmsi_xception_voc'):
        config_file('fmsi_xceptoin_voc')


def test_what_names_no_model_is_said() -> None:
    with pytest.raises(ValueError, match='name a model'):
        find_model([])
    with pytest.raises(ValueError, match='after the model'):
        find_inputs([])


def test_results_of_an_earlier_call_are_no_inputs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in map(Path, ('a.png', 'out/masks/a.png', 'out/overlays/a.png', 'out/b.png')):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def found(*words) -> list[str]:
        return [path.as_posix() for path in find_inputs(words, out='out')]

    every = ['a.png', 'out/b.png', 'out/masks/a.png', 'out/overlays/a.png']
    assert found('.') == every  # nothing shows that a call wrote them
    Path('out/predictions.json').touch()
    assert found('.') == found('**/*.png') == ['a.png', 'out/b.png']
    assert found('.', 'out/masks/a.png') == ['a.png', 'out/b.png', 'out/masks/a.png']
    with pytest.raises(ValueError, match='nothing but results in out: name images'):
        found('out/masks')


def test_a_file_that_is_named_in_two_ways_is_one(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in map(Path, ('one/a.png', 'two/a.png')):
        path.parent.mkdir()
        path.touch()
    words = ['one/a.png', 'two/../one/a.png', 'one', 'two/a.png']
    assert [path.as_posix() for path in find_inputs(words)] == ['one/a.png', 'two/a.png']


def test_patterns_and_lists_name_images(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ['a.jpg', 'b.jpg', 'c.png', 'deep/er/d.jpg', 'x[1].jpg']
    for path in map(Path, names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def found(*words, **options) -> list[str]:
        return [path.as_posix() for path in find_inputs(words, **options)]

    assert found('*.jpg') == ['a.jpg', 'b.jpg', 'x[1].jpg']
    assert found('**/*.jpg') == ['a.jpg', 'b.jpg', 'deep/er/d.jpg', 'x[1].jpg']
    assert found('x[1].jpg') == ['x[1].jpg']  # a file, not a pattern
    assert found('c.png', 'c.*') == ['c.png']
    listed = io.StringIO('b.jpg\r\n\ndeep\n')
    assert found('-', 'a.jpg', listed=listed) == ['b.jpg', 'deep/er/d.jpg', 'a.jpg']
    with pytest.raises(FileNotFoundError, match=r'no file fits the pattern \*.bmp'):
        found('*.bmp')
    with pytest.raises(FileNotFoundError, match='gone.jpg does not exist'):
        found('-', listed=io.StringIO('gone.jpg\n'))
    with pytest.raises(ValueError, match='names no image'):
        found('-', listed=io.StringIO('\n'))


def test_an_exported_file_takes_no_options_of_a_config() -> None:
    given = find_model(['net.ONNX', 'a.png'])
    assert (given.checkpoint, given.inputs) == (None, ('a.png',))
    for options in (dict(dataset='a.yml'), dict(cfg_options=dict(a=1)), dict(device='cuda')):
        (name,) = options
        with pytest.raises(ValueError, match=f'net.ONNX .*: leave --{name.replace("_", "-")} out'):
            given.load(**options)


def test_a_tested_run_is_a_model(run, tiny_config, tiny_data) -> None:
    apis.test(apis.load_config(tiny_config, work_dir=run))
    label = mmseg_ext.Predictor(run)(tiny_data / 'img' / '0.png').label
    assert label.shape == (40, 40)
