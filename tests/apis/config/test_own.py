"""The config of a checkpoint: found, read without running it, and used where another was given."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg_ext.apis.config.own import read_settings
from mmseg_ext.apis.predict.predictor import predict
from mmseg_ext.apis.run import load as module
from mmseg_ext.apis.run import testing
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.load import load_model

NAMES = ('water', 'land', 'cloud', 'snow', 'night')


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    """Five classes of one's own, and the file that says so."""
    root = tmp_path_factory.mktemp('own')
    random = np.random.default_rng(7)
    for part in ('images', 'masks'):
        (root / part).mkdir()
    for index in range(4):
        mask = np.repeat(np.repeat(random.integers(0, 5, (4, 4)), 12, 0), 12, 1)
        image = mask * 50 + random.integers(0, 40, mask.shape)  # a picture, not the mask itself
        cv2.imwrite(str(root / f'images/{index}.png'), image.astype(np.uint8))
        cv2.imwrite(str(root / f'masks/{index}.png'), mask.astype(np.uint8))
    lists = '\n'.join(f'{part}: {{images: images, masks: masks}}' for part in ('train', 'val'))
    classes = '\n'.join(f'  - {{name: {name}, value: {k}}}' for k, name in enumerate(NAMES))
    (root / 'my_data.yml').write_text(f'name: sky\nroot: .\n{lists}\nclasses:\n{classes}\n')
    return root


@pytest.fixture(scope='module')
def trained(tmp_path_factory, data, tiny_config, random_weights) -> Path:
    """What a training on the data leaves: weights, its config in them and beside them."""
    folder = tmp_path_factory.mktemp('run')
    cfg = load_config(tiny_config, dataset=data / 'my_data.yml', options=dict(max_iters=2))
    cfg.dump(folder / Path(tiny_config).name)
    meta = dict(dataset_meta=dict(classes=NAMES), cfg=cfg.pretty_text)
    return random_weights(folder / Path(tiny_config).name, folder / 'iter_2.pth', meta=meta)


def labels(model, data: Path) -> list:
    results = predict(model, sorted((data / 'images').iterdir()))
    return [result.label.tolist() for result in results]


def test_a_row_trained_on_own_data_predicts_with_the_row(
    tiny_config, trained, data, monkeypatch
) -> None:
    said: list = []
    monkeypatch.setattr(module, 'print_log', lambda line, *_: said.append(line))
    own = load_model(trained.with_name(Path(tiny_config).name), trained, device='cpu')
    assert said == []
    expected = labels(own, data)
    model = load_model(tiny_config, trained, device='cpu')
    assert model.dataset_meta['classes'] == list(NAMES) and labels(model, data) == expected
    assert len(said) == 1 and str(tiny_config) in said[0] and str(trained) in said[0]
    given = load_model(tiny_config, trained, device='cpu', dataset=data / 'my_data.yml')
    assert labels(given, data) == expected and len(said) == 1


def test_the_config_beside_the_checkpoint_is_read_and_not_run(
    tiny_config, trained, data, tmp_path
) -> None:
    content = torch.load(trained, weights_only=True)
    del content['meta']['cfg']
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match='w.pth was trained on the 5 classes'):
        load_model(tiny_config, tmp_path / 'w.pth', device='cpu')
    text = trained.with_name(Path(tiny_config).name).read_text()
    code = f'marker = __import__("os").mkdir({str(tmp_path / "ran")!r})\n'
    beside = tmp_path / Path(tiny_config).name
    beside.write_text(code + text)
    with pytest.raises(ValueError, match='w.pth was trained on the 5 classes'):
        load_model(tiny_config, tmp_path / 'w.pth', device='cpu')
    assert not (tmp_path / 'ran').exists()
    beside.write_text(text)
    model = load_model(tiny_config, tmp_path / 'w.pth', device='cpu')
    assert model.dataset_meta['classes'] == list(NAMES)


def test_other_classes_are_refused(tiny_config, tmp_path, random_weights) -> None:
    """As many as the data have, and yet others: the numbers would mean something else."""
    meta = dict(dataset_meta=dict(classes=('cat', 'dog', 'cow')))
    weights = random_weights(tiny_config, tmp_path / 'w.pth', meta=meta)
    for run in (
        lambda: load_model(tiny_config, weights, device='cpu'),
        lambda: testing.test(load_config(tiny_config, work_dir=tmp_path / 'test'), weights),
    ):
        with pytest.raises(ValueError, match='cat, dog, cow.*sky, tree, road'):
            run()


@pytest.mark.parametrize(
    'text',
    [
        'a = f()',
        'a = dict(1)',
        'a = dict(**b)',
        'import os',
        'a = [x for x in (1,)]',
        'a = __import__("os").sep',
        'a: int = 1',
        'a.b = 1',
        'a = (',
        'a = ' + '[' * 400 + ']' * 400,
    ],
)
def test_only_literals_are_settings(text) -> None:
    assert read_settings(f'model = dict(type="A")\n{text}\n') is None


def test_settings_keep_their_kinds() -> None:
    text = (
        "a = dict(size=(2, -3), steps=[dict(type='B', x=None)], map=dict({0: 1, 'k': dict(v=1.5)}))"
    )
    expected = dict(size=(2, -3), steps=[dict(type='B', x=None)], map={0: 1, 'k': dict(v=1.5)})
    assert read_settings(text) == dict(a=expected)


# ---- configs that are none


def test_yaml_configs_are_refused_and_run_nothing(tmp_path, tiny_config) -> None:
    mark = tmp_path / 'ran'
    tag = f'a: !!python/object/apply:os.mkdir [{mark}]\n'
    (tmp_path / 'c.yml').write_text(f'model: {{type: X}}\n{tag}')
    with pytest.raises(ValueError, match=r'c\.yml is no config.*--dataset'):
        load_config(tmp_path / 'c.yml')
    (tmp_path / 'base.py').write_text(f"_base_ = ['{tiny_config}', './c.yml']\n")
    with pytest.raises(ValueError, match=r'config .*base\.py cannot be read'):
        load_config(tmp_path / 'base.py')
    assert not mark.exists()


@pytest.mark.parametrize(
    'text, message',
    [
        ('model = dict(\n', r'c\.py, line 1 cannot be read: SyntaxError'),
        ('model = undefined\n', r'c\.py cannot be read: NameError.*undefined'),
        ("_base_ = './gone.py'\n", r'c\.py cannot be read: .*gone\.py'),
        ('a = 1\n', r'c\.py has no model'),
        ('raise SystemError("no")\n', r'c\.py cannot be read: SystemError: no'),
    ],
)
def test_what_is_wrong_in_a_config_is_one_line(tmp_path, text, message) -> None:
    (tmp_path / 'c.py').write_text(text)
    with pytest.raises(ValueError, match=message):
        load_config(tmp_path / 'c.py')
