"""What the one reader of checkpoints lets through, and what it says of the rest."""

import ast
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader, save_checkpoint
from support.paths import ROOT
from torch import nn

from mmseg_ext.core import checkpoints
from mmseg_ext.core.checkpoints import read_checkpoint, settings_of
from mmseg_ext.core.fitting import check_classes, check_finite, weights_of


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def broken_files(folder: Path) -> dict:
    """File to what the message must say, each broken in another way."""
    whole = folder / 'whole.pth'
    torch.save(dict(state_dict=dict(w=torch.arange(5000.0))), whole)
    content = whole.read_bytes()
    flipped = bytearray(content)
    for place in (4001, 9002, 16003):  # in the middle of the numbers
        flipped[place] ^= 0x55
    texts = dict(empty=b'', text=b'hello ' * 30, cut=content[:-700], short=content[:90])
    texts['flipped'] = bytes(flipped)
    found = {}
    for name, text in texts.items():
        found[folder / f'{name}.pth'] = 'is empty' if name == 'empty' else 'cannot be read'
        (folder / f'{name}.pth').write_bytes(text)
    torch.save(dict(state_dict={}, meta=Code(folder / 'ran')), folder / 'code.pth')
    legacy = dict(_use_new_zipfile_serialization=False)
    torch.save(dict(state_dict={}, meta=Code(folder / 'ran')), folder / 'old.pth', **legacy)
    (folder / 'pickle.pth').write_bytes(pickle.dumps(dict(state_dict=Code(folder / 'ran'))))
    torch.jit.script(nn.Linear(2, 2)).save(str(folder / 'script.pth'))
    torch.save(dict(state_dict={}, best=np.float64(3)), folder / 'numpy.pth')
    safety = ('code', 'old', 'pickle', 'numpy')
    found |= {folder / f'{name}.pth': 'is not loaded for safety' for name in safety}
    torch.save([1, 2], folder / 'list.pth')
    (folder / 'folder.pth').mkdir()
    return found | {
        folder / 'script.pth': 'TorchScript archive, which holds code',
        folder / 'list.pth': 'no weights by name but a list',
        folder / 'folder.pth': 'is a folder',
    }


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('reader', [read_checkpoint, CheckpointLoader.load_checkpoint])
def test_every_broken_file_is_one_line_with_its_name_and_runs_nothing(tmp_path, reader):
    for path, reason in broken_files(tmp_path).items():
        with pytest.raises(ValueError, match=reason) as caught:
            reader(str(path))
        assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        reader(str(tmp_path / 'gone.pth'))
    assert not (tmp_path / 'ran').exists()
    assert reader(str(tmp_path / 'whole.pth'))['state_dict']['w'].sum() == 5000 * 4999 / 2


def test_a_single_wrong_byte_among_the_numbers_is_found_wherever_it_is(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(w=torch.rand(3000), v=torch.rand(2000))), path)
    content = path.read_bytes()
    start = content.index(torch.load(path)['state_dict']['w'].numpy().tobytes())
    for place in range(start, start + 12000, 997):
        wrong = bytearray(content)
        wrong[place] ^= 1
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match='Bad CRC'):
            read_checkpoint(path)


def test_a_torch_that_executes_checkpoints_is_refused(tmp_path, monkeypatch):
    torch.save(dict(w=torch.ones(1)), tmp_path / 'a.pth')
    for version in ('2.5.1+cu121', '2.1.0'):
        monkeypatch.setattr(torch, '__version__', version)
        with pytest.raises(ImportError, match=r'install torch>=2\.6'):
            read_checkpoint(tmp_path / 'a.pth')
    monkeypatch.setattr(torch, '__version__', '2.10.0')
    assert read_checkpoint(tmp_path / 'a.pth')['w'] == 1


def test_files_of_old_torch_are_read_if_they_are_safe(tmp_path):
    torch.save(dict(model={'module.w': torch.ones(2)}), tmp_path / 'a.pth',
               _use_new_zipfile_serialization=False)  # fmt: skip
    assert weights_of(read_checkpoint(tmp_path / 'a.pth'), 'a')['w'].tolist() == [1, 1]


def test_mmengine_gets_nothing_to_execute_and_only_cpu_tensors(tmp_path):
    code = f'a = __import__("os").mkdir({str(tmp_path / "ran")!r})\nlr = 3\nmodel = dict(a=[1])'
    hub = dict(runtime_info=dict(cfg=code, best=1))
    content = dict(
        state_dict=dict(w=torch.ones(1)), message_hub=hub, meta=dict(cfg=code, config=code)
    )
    torch.save(content, tmp_path / 'a.pth')
    read = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), map_location='meta')
    assert read['state_dict']['w'].device.type == 'cpu'
    assert set(read['meta']) == {'cfg_text'} and read['message_hub']['runtime_info'] == dict(best=1)
    assert settings_of(read['meta']) == dict(a={}, lr=3, model=dict(a=[1]))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    'value',
    [
        torch.eye(3).to_sparse(),
        torch.zeros(2, dtype=torch.complex64),
        torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8),
    ],
)
def test_tensors_of_other_kinds_are_no_weights(value):
    with pytest.raises(ValueError, match=r'a\.pth: b is sparse, quantized or complex'):
        weights_of(dict(state_dict=dict(a=torch.ones(1), b=value)), 'a.pth')


def test_weights_that_are_not_numbers_are_named():
    state = dict(a=torch.ones(3), b=torch.tensor([1, 2]), c=torch.ones(2, 2))
    check_finite(state, 'x.pth')
    for wrong in (float('nan'), float('inf'), -float('inf')):
        state['c'][1, 0] = wrong
        with pytest.raises(ValueError, match='x.pth: c is not finite'):
            check_finite(state, 'x.pth')


@pytest.mark.parametrize('content', [{}, {'state_dict': {}}, {'state_dict': 3}, {3: torch.ones(1)}])
def test_files_without_weights_are_refused(content):
    with pytest.raises(ValueError, match='x.pth holds no weights'):
        weights_of(content, 'x.pth')


def test_other_classes_are_refused_and_unknown_ones_pass():
    meta = dict(dataset_meta=dict(classes=('rock', 'ore')))
    check_classes(meta, ['rock', 'ore'])
    for unknown in (None, {}, dict(dataset_meta=None), dict(dataset_meta={})):
        check_classes(unknown, ['rock', 'ore'])
    check_classes(meta, None)
    for other in (['ore', 'rock'], ['rock'], ['rock', 'ore', 'air'], ['cell', 'gap']):
        with pytest.raises(ValueError, match=r'x.pth .*\(rock, ore\).*' + ', '.join(other)):
            check_classes(meta, other, 'x.pth')


def test_a_checkpoint_is_written_whole_or_the_old_one_stays(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    save_checkpoint(dict(state_dict=dict(w=torch.zeros(2))), str(path))
    before = path.read_bytes()

    def fail(content, stream):
        stream.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(checkpoints.torch, 'save', fail)
    with pytest.raises(OSError, match='No space'):
        save_checkpoint(dict(state_dict=dict(w=torch.ones(2))), str(path))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_an_address_without_a_network_names_itself_and_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    address = 'http://127.0.0.1:9/swin_tiny.pth'  # the port of "discard": nobody listens
    with pytest.raises(FileNotFoundError) as caught:
        read_checkpoint(address)
    text = str(caught.value)
    assert address in text and 'by hand' in text and 'init_cfg.checkpoint=FILE' in text
    with pytest.raises(FileNotFoundError, match='open-mmlab://nothing_like_it'):
        read_checkpoint('open-mmlab://nothing_like_it')
    cached = tmp_path / 'hub/checkpoints/swin_tiny.pth'
    torch.save(dict(w=torch.ones(2)), cached)
    assert read_checkpoint(address)['w'].tolist() == [1, 1]


def test_nobody_else_reads_checkpoints():
    """``torch.load`` and mmengine's loaders are called in one module only."""
    names = {'_load_checkpoint', 'CheckpointLoader', 'load_url', 'load_state_dict_from_url'}
    files = [p for d in ('mmseg_ext', 'tools') for p in (ROOT / d).rglob('*.py')]
    files = [path for path in files if '.mim' not in path.parts]
    assert len(files) > 280
    users = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            name = getattr(node, 'attr', getattr(node, 'id', getattr(node, 'name', None)))
            of_torch = isinstance(node, ast.Attribute) and ast.unparse(node) == 'torch.load'
            if of_torch or name in names:
                users.add(path.relative_to(ROOT).as_posix())
    assert users == {'mmseg_ext/core/checkpoints.py'}
