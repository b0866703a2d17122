"""Data set files as people, editors and attackers write them: right, or one line on the file."""

import re

import pytest

from mmseg_ext.apis.userdata.pairing import read_group_file
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.core import words

TEXT = 'classes: [a, b]\ntrain: {images: i, masks: m}\nval: {images: j, masks: n}\n'


def _bomb():
    names = 'abcdefgh'
    lines = ['a: &a [x, x, x, x, x, x, x, x, x]']
    lines += [f'{c}: &{c} [{", ".join([f"*{p}"] * 9)}]' for p, c in zip(names, names[1:])]
    return '\n'.join(lines)


def _classes(entry):
    return TEXT.replace('[a, b]', f'[{entry}, b]')


def _read(tmp_path, content, name='my_data.yml'):
    path = tmp_path / 'Rock CT' / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_data_file(path)


@pytest.mark.parametrize(
    'content',
    [
        b'\xef\xbb\xbf' + TEXT.encode(),
        TEXT.replace('\n', '\r\n'),
        TEXT.encode('utf-16'),
        TEXT.replace('[a, b]', '&x [a, b]') + 'image_suffix: [.png]\n',
    ],
)
def test_what_editors_write_is_read(tmp_path, content):
    data = _read(tmp_path, content)
    assert (data.classes, data.values) == (('a', 'b'), {0: 0, 1: 1})
    assert data.parts['val'] == dict(images='j', masks='n')


def test_a_data_set_without_a_name_is_called_after_its_folder(tmp_path):
    assert _read(tmp_path, TEXT).name == 'Rock_CT'
    assert _read(tmp_path, TEXT, 'ores.yml').name == 'ores'
    assert _read(tmp_path, f'{TEXT}name: my_data\n').name == 'my_data'


BAD = {
    'empty': ('', 'the file is empty'),
    'comments': ('# nothing\n\n', 'the file is empty'),
    'list at the top': ('- a\n- b\n', "must hold \"key: value\" lines, got ['a', 'b']"),
    'tabs': ('classes:\n\t- a\n', 'line 2, column 1: found character'),
    'latin': (TEXT.encode() + b'name: \xe4\n', 'no UTF-8 text'),
    'binary': (bytes(range(256)), 'no UTF-8 text'),
    'nul': ('a\0b', 'no valid YAML'),
    'two documents': (f'{TEXT}---\n{TEXT}', 'line 4, column 1: but found another document'),
    'key twice': (f'{TEXT}val: {{images: q, masks: q}}\n', "'val' is given twice"),
    'inner key twice': (TEXT.replace('images: i', 'images: i, images: k'), "'images' is given twi"),
    'value null': (_classes('{name: a, value: null}'), 'value of classes[0] is empty'),
    'value in a list null': (_classes('{name: a, value: [1, null]}'), 'value of classes[0] is e'),
    'no values': (_classes('{name: a, value: []}'), 'list of values of classes[0] is empty'),
    'large value': (_classes(f'{{name: a, value: {10**30}}}'), 'from 0 to 2147483647, got 10000'),
    'digits': (_classes(f'{{name: a, value: {"9" * 5000}}}'), 'a value cannot be read'),
    'nan': (_classes('{name: a, value: .nan}'), 'from 0 to 2147483647, got nan'),
    'ignored null': (f'{TEXT}ignore_value: [null]\n', 'ignore_value holds an empty entry'),
    'long root': (f'{TEXT}root: {"x" * 5000}\n', 'root is no path: '),
    'list as folder': (TEXT.replace('images: i', 'images: [i]'), 'train.images must be text'),
    'nested': (f'classes: {"[" * 3000}{"]" * 3000}', 'more than 12 levels'),
    'bomb': (f'{_bomb()}\n{TEXT}', "has no entry 'a'"),
    'bomb as root': (f'root: {_bomb()[3:]}'.replace('\n', '\n#') + f'\n{TEXT}', 'root must be t'),
    'aliases': (f'classes: &a [{", ".join(["&b b"] + ["*b"] * 200)}]\n', 'more than 100 aliases'),
    'merge': (f'{TEXT}test: {{<<: {{images: i}}}}\n', 'merging (<<) is not read'),
    'no date': (f'{TEXT}name: 2020-13-45\n', 'a value cannot be read'),
    'long key': (f'{TEXT}? {"k" * 9999}\n: 1\n', "has no entry 'kkk"),
    'many classes': (
        'classes:\n' + ''.join(f'- c{i}\n' for i in range(70000)), 'at most 200000 bytes',
    ),
    'crop': (f'{TEXT}crop_size: [{10**9}, 8]\n', 'at most 16384, got [1000000000, 8]'),
    'code': (f'{TEXT}a: !!python/object/apply:os.system [ls]\n', 'no valid YAML (line 4'),
}  # fmt: skip


@pytest.mark.parametrize('content, message', BAD.values(), ids=BAD)
def test_what_cannot_be_meant_gets_one_short_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        _read(tmp_path, content)
    line = words.message_of(caught.value)
    assert line.startswith(f'{tmp_path}/Rock CT/my_data.yml: ') and len(line) < 500


def test_a_group_file_that_is_none_is_named(tmp_path):
    for name, message in (('groups.csv', 'no such file'), ('.', 'a folder')):
        data = _read(tmp_path, f'{TEXT}group_file: {name}\n')
        with pytest.raises(FileNotFoundError, match=f'{message}, which .*my_data.yml names as g'):
            read_group_file(data)
    (tmp_path / 'Rock CT/groups.csv').write_text('stem,group\na,p1\n')
    data = _read(tmp_path, f'{TEXT}group_file: groups.csv\n')
    assert read_group_file(data) == {'stem': 'group', 'a': 'p1'}
