"""``tools/benchmark.py all``: each record again, but for what lacks its peers or fails."""

import importlib.util
import json
from pathlib import Path

import pytest

from mmseg_ext.apis.bench import peers
from mmseg_ext.apis.config import written

_WRITE = 'import sys; open(sys.argv[1], "w").write(sys.argv[2])'


def _tool():
    path = Path(__file__).parents[2] / 'tools/benchmark.py'
    spec = importlib.util.spec_from_file_location('benchmark_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _record(root, name, command, **versions):
    path = root / 'configs/net/results' / f'benchmark_{name}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(command=command, versions=dict(torch='2', **versions))))


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


def test_without_records_it_says_how_to_make_one(root):
    (root / 'configs').mkdir()
    with pytest.raises(ValueError, match='run one with --out'):
        _tool().run_all()
