"""Files are there whole or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_ext.core import files


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'results.json'
    path.write_text('old')
    with pytest.raises(RuntimeError), files.replacing(path) as unfinished:
        unfinished.write_text('half')
        raise RuntimeError
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['results.json']


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = files.write_json(tmp_path / 'a.json', {'x': 1})

    def full(handle):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        files.write_json(path, {'x': 2})
    monkeypatch.undo()
    assert json.loads(path.read_text()) == {'x': 1}
    assert os.listdir(tmp_path) == ['a.json']


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = files.write_bytes(tmp_path / 'a', b'old')
    code = (
        'import os, signal, sys\nfrom mmseg_ext.core.files import replacing\n'
        'with replacing(sys.argv[1]) as unfinished:\n'
        '    unfinished.write_bytes(b"half")\n    os.kill(os.getpid(), signal.SIGKILL)'
    )
    # the file alone: importing the package takes seconds
    code = code.replace('mmseg_ext.core.files', 'core.files')
    env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(files.__file__)))
    done = subprocess.run([sys.executable, '-c', code, str(path)], env=env)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b'old'


def test_content_is_flushed_before_the_name_changes(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, 'fsync', lambda handle: (order.append('flush'), fsync(handle)))
    monkeypatch.setattr(os, 'replace', lambda a, b: (order.append('replace'), replace(a, b)))
    files.write_bytes(tmp_path / 'deep' / 'a', b'x')
    assert order == ['flush', 'replace', 'flush']  # the file, then the folder's names
    assert (tmp_path / 'deep' / 'a').read_bytes() == b'x'


def test_lines_keep_the_bytes_of_names_in_another_encoding(tmp_path):
    name = os.fsdecode(b'caf\xe9')
    path = files.write_lines(tmp_path / 'new/list.txt', iter(['a', name]))
    assert path.read_bytes() == b'a\ncaf\xe9\n'
    assert files.write_lines(path, []).read_bytes() == b''


def test_json_without_a_meaning_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / 'a.json', {'x': float('nan')})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('text', ['', '{"a": ', '[' * 100_000], ids=['empty', 'cut', 'deep'])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / 'results.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'results\.json is damaged'):
        files.read_json(path)


@pytest.mark.parametrize('number', ['NaN', '-Infinity', '1e400'])
def test_what_is_read_can_be_written_again(tmp_path, number):
    path = tmp_path / 'plan.json'
    path.write_text(f'{{"a": [1.5, {number}]}}')
    with pytest.raises(ValueError, match=rf'plan\.json is damaged \({number} is no number'):
        files.read_json(path)
    path.write_text('{"a": [1.5, -2e3]}')
    assert files.read_json(path) == {'a': [1.5, -2000.0]}


@pytest.mark.parametrize('text', ['[1]', '"a"', 'null', '3'])
def test_json_without_names_is_damage(tmp_path, text):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match='x.json is damaged .it holds no names.: remove it'):
        files.read_json(tmp_path / 'x.json')


def test_what_an_ended_process_left_is_swept_before_it_is_collected(tmp_path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    mine, theirs = tmp_path / f'.a.{os.getppid()}.part', tmp_path / f'.a.{child}.part'
    for path in (mine, theirs):
        path.touch()
    files.sweep(tmp_path)
    os.waitpid(child, 0)
    assert mine.exists() and not theirs.exists()


def test_what_a_kill_left_of_the_outputs_that_are_written_is_removed(tmp_path):
    dead, own = 99999999, os.getppid()
    left = [f'.a.png.{dead}.part', f'.a.mp4.{dead}.part.mp4', f'.x.y.npy.{dead}.part',
            f'.{"k" * 200}.{dead}.part']  # fmt: skip
    kept = [f'.b.png.{dead}.part', f'.a.png.{own}.part', f'.a.png.{dead}.part-old', '.a.part',
            'a.png', f'.a.b.png.{dead}.part']  # fmt: skip
    for name in (*left, *kept):
        (tmp_path / name).touch()
    (tmp_path / f'.a.{dead}.part').mkdir()
    (tmp_path / f'.a.{dead}.part/000000.png').touch()
    files.sweep_outputs([tmp_path / name for name in ('a', 'x.y', 'k' * 251)])
    files.sweep_outputs([tmp_path / 'gone/a'])
    assert _tree(tmp_path) == set(kept)
    (tmp_path / f'.c.{dead}.part').mkdir()
    files.sweep(tmp_path)  # by who owns the folder: all of it
    assert _tree(tmp_path) == {f'.a.png.{own}.part', f'.a.png.{dead}.part-old', '.a.part', 'a.png'}


def _tree(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob('*')}


def test_a_folder_takes_the_place_of_another_at_the_end(tmp_path):
    target = tmp_path / 'new' / 'data'
    for name in ('first', 'second'):
        with files.replacing_folder(target) as unfinished:
            (unfinished / name).write_text(name)
            assert target.exists() == (name == 'second')
        assert _tree(tmp_path) == {'new', 'new/data', f'new/data/{name}'}
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_failing_block_leaves_the_old_folder_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / 'data'
    target.mkdir()
    (target / 'old').touch()
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(target) as unfinished:
        (unfinished / 'new').touch()
        raise KeyboardInterrupt
    assert _tree(tmp_path) == {'data', 'data/old'}
    rename = Path.rename

    def refuse(self, to):
        if Path(to) == target and not self.name.endswith('-old'):
            raise OSError('no')
        return rename(self, to)

    monkeypatch.setattr(Path, 'rename', refuse)
    with pytest.raises(OSError, match='no'), files.replacing_folder(target) as unfinished:
        (unfinished / 'new').touch()
    assert _tree(tmp_path) == {'data', 'data/old'}


def test_a_path_as_seen_from_a_folder(tmp_path):
    assert files.path_below(tmp_path / 'a' / 'b.png', tmp_path) == 'a/b.png'
    assert files.path_below(tmp_path, tmp_path / 'a') == '..'
    assert files.stem_below(tmp_path / 'a' / 'b.PNG', tmp_path, '.png') == 'a/b'
    assert files.stem_below(tmp_path / 'b.nii.gz', tmp_path, ('.png', '.nii.gz')) == 'b'
    assert files.stem_below(tmp_path / 'b.jpg', tmp_path, ('.png', '')) == 'b.jpg'


def test_a_foreign_file_is_json_or_nothing(tmp_path):
    path = tmp_path / 'notes.json'
    assert files.read_foreign_json(path) is None
    for text, content in (('\ufeff{"a": [1]}', {'a': [1]}), ('{', None), ('[' * 10**5, None)):
        path.write_text(text, encoding='utf-8')
        assert files.read_foreign_json(path) == content
    path.write_bytes(b'\xff\xfe\x00')
    assert files.read_foreign_json(path) is None


def test_a_path_is_written_as_a_user_would_type_it(tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    assert files.short_path(tmp_path / 'here' / 'a.py') == Path('a.py')
    assert files.short_path(tmp_path / 'a.py') == tmp_path / 'a.py'


def test_json_keeps_letters_where_people_read_it(tmp_path):
    path = files.write_json(tmp_path / 'a.json', {'mean': 'größe'}, ensure_ascii=False)
    assert path.read_bytes() == '{\n "mean": "größe"\n}\n'.encode()
    assert files.read_json(path) == {'mean': 'größe'}
