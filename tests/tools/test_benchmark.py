"""``tools/benchmark.py all``: each record again, but for what lacks its peers or fails."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from mmseg_ext.apis.bench import peers
from mmseg_ext.apis.config import written

_WRITE = 'import sys; open(sys.argv[1], "w").write(sys.argv[2])'


def _tool():
    path = Path(__file__).parents[2] / 'tools/benchmark.py'
    spec = importlib.util.spec_from_file_location('benchmark_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _record(root, name, command, cases=(), hardware='A CPU, 2 cores, 2 threads', **versions):
    path = root / 'configs/net/results' / f'benchmark_{name}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    record = dict(
        command=command, versions=dict(torch='2', **versions), cases=cases, hardware=hardware
    )
    path.write_text(json.dumps(record))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(written, 'configs_folder', lambda: tmp_path / 'configs')
    (tmp_path / 'write.py').write_text(_WRITE)
    (tmp_path / 'fail.py').write_text('raise SystemExit(3)')
    return tmp_path


def test_every_record_is_made_again(root):
    _record(root, 'a', 'python write.py a.txt "two words"')
    _record(root, 'b', 'python write.py b.txt 2')
    _tool().run_all()
    assert (root / 'a.txt').read_text() == 'two words' and (root / 'b.txt').read_text() == '2'


def test_what_lacks_its_peers_or_fails_is_named_and_the_others_run(root, monkeypatch):
    monkeypatch.setattr(peers, '_version', lambda name: None if name == 'openvino' else '1')
    _record(root, 'a', 'python write.py a.txt 1', openvino='2026')
    _record(root, 'b', 'python fail.py')
    _record(root, 'c', 'python write.py c.txt 1', onnxruntime='1')
    with pytest.raises(RuntimeError, match='2 of 3 are as they were: benchmark_a.json') as error:
        _tool().run_all()
    assert 'pip install .[export]' in str(error.value) and 'benchmark_b.json (failed' in str(
        error.value
    )
    assert not (root / 'a.txt').exists() and (root / 'c.txt').read_text() == '1'


@pytest.mark.parametrize('imitated', [False, True])
def test_rows_of_bfloat16_are_kept_where_torch_imitates_it(root, monkeypatch, imitated):
    monkeypatch.setattr(peers, 'is_imitated', lambda device: imitated)
    run = 'python write.py {} new'
    rows = {
        'form': dict(case='a network, OpenVINO', product='bfloat16'),
        'memory': dict(case='a.py, AMP, 8x512x512'),
        'training': dict(case='training of a.py, bfloat16, 8 images'),
        'plain': dict(case='a network, fast form', product='float32'),
    }
    for name, row in rows.items():
        _record(root, name, run.format(f'{name}.txt'), [row])
    if imitated:
        with pytest.raises(RuntimeError, match='3 of 4 are as they were: benchmark_form.json'):
            _tool().run_all()
    else:
        _tool().run_all()
    made = {path.stem for path in root.glob('*.txt')}
    assert made == ({'plain'} if imitated else set(rows))


def test_into_a_folder_the_old_records_stay_and_what_is_there_is_not_run_again(root, tmp_path):
    _record(root, 'a', 'python write.py --out old.txt')
    _record(root, 'b', 'python write.py 2 --out old.txt')
    (root / 'write.py').write_text(
        'import sys, pathlib\npathlib.Path(sys.argv[-1]).write_text("new")'
    )
    folder = tmp_path / 'anew'
    (folder / 'net/results').mkdir(parents=True)
    (folder / 'net/results/benchmark_a.json').write_text('kept')
    before = (root / 'configs/net/results/benchmark_b.json').read_text()
    _tool().run_all(folder)
    assert (folder / 'net/results/benchmark_a.json').read_text() == 'kept'
    assert (folder / 'net/results/benchmark_b.json').read_text() == 'new'
    assert (root / 'configs/net/results/benchmark_b.json').read_text() == before
    assert not (root / 'old.txt').exists()


def test_a_command_of_two_processors_runs_once_and_replaces_its_own(root, tmp_path, capsys):
    (root / 'write.py').write_text(
        'import sys, pathlib\npathlib.Path(sys.argv[3]).write_text(sys.argv[1])'
    )
    here = torch.backends.cpu.get_cpu_capability()
    command = 'python write.py new --out configs/net/results/benchmark_{}.json'
    _record(root, 'a', command.format('a'), hardware='A CPU (OTHER), 2 cores, 2 threads')
    _record(root, 'b', command.format('b'), hardware=f'A CPU ({here}), 2 cores, 2 threads')
    _record(root, 'c', 'python write.py newer --out x', hardware='A CPU (OTHER), 2 cores')
    folder = tmp_path / 'anew'
    (folder / 'net/results').mkdir(parents=True)
    _tool().run_all(folder)
    made = {path.name: path.read_text() for path in folder.glob('*/*/*.json')}
    assert made == {'benchmark_a.json': 'new', 'benchmark_c.json': 'newer'}
    assert 'benchmark_b.json: its command is that of benchmark_a.json' in capsys.readouterr().out
    before = (root / 'configs/net/results/benchmark_a.json').read_text()
    with pytest.raises(RuntimeError, match=f'1 of 3 .* with OTHER, this one has {here}'):
        _tool().run_all()
    files = [root / f'configs/net/results/benchmark_{name}.json' for name in 'abc']
    assert [file.read_text() for file in files] == [before, 'new', 'newer']
    assert '--out configs/net/results/benchmark_b.json' in capsys.readouterr().out


def test_an_image_may_be_named_by_a_variable(monkeypatch):
    monkeypatch.setenv('SOME_DATA', '/data')
    words = ['benchmark.py', 'crf', '--images', '${SOME_DATA}/a.jpg', '${NO_SUCH_FOLDER}/b.jpg']
    monkeypatch.setattr('sys.argv', words)
    assert _tool().parse_args().images == ['/data/a.jpg', '${NO_SUCH_FOLDER}/b.jpg']


def test_without_records_it_says_how_to_make_one(root):
    (root / 'configs').mkdir()
    with pytest.raises(ValueError, match='run one with --out'):
        _tool().run_all()
