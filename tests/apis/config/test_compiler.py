"""A machine without a compiler is told in one line, with what to install."""

import sysconfig

import pytest
import torch

from mmseg_ext.apis.config import compiler


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert 'there is no no-such-compiler: correct or unset CXX' in compiler.compiler_problem()
    monkeypatch.delenv('CXX')
    monkeypatch.setattr(compiler.shutil, 'which', lambda name: None)
    assert compiler.compiler_problem().endswith('+: apt install g++')


def test_missing_headers_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv('CXX', 'sh')  # any program
    monkeypatch.setattr(sysconfig, 'get_paths', lambda: dict(include=str(tmp_path)))
    assert 'python3-dev' in compiler.compiler_problem()
    (tmp_path / 'Python.h').touch()
    assert compiler.compiler_problem() is None


def test_a_gpu_needs_triton(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(compiler.importlib.util, 'find_spec', lambda name: None)
    assert 'pip install triton' in compiler.compiler_problem()
