"""Every tool is a command, and nothing else is."""

import pytest

from mmseg_ext.apis.cli import console


@pytest.fixture(autouse=True)
def _tools(tmp_path, monkeypatch):
    monkeypatch.setattr(console, 'TOOLS', tmp_path)
    monkeypatch.setattr(console.errors, 'run_tool', lambda main: ('run as a tool', main()))
    inner = tmp_path / 'converters'
    inner.mkdir()
    (tmp_path / 'greet.py').write_text('def main():\n    print("hello")\n    return 3\n')
    (inner / 'fail.py').write_text('def main():\n    raise ValueError("no image")\n')


def test_a_file_is_a_command_with_its_status(capsys):
    assert console.greet() == ('run as a tool', 3)
    assert capsys.readouterr().out == 'hello\n'


def test_a_file_of_a_folder_is_one():
    with pytest.raises(ValueError, match='no image'):
        console.fail()


def test_it_answers_to_the_names_of_tools_only():
    assert {'greet', 'fail'} <= set(dir(console))
    with pytest.raises(AttributeError, match='no tool gret in .*: install mmsegmentation-ext'):
        console.gret  # noqa: B018
    assert not hasattr(console, '__wrapped__')
