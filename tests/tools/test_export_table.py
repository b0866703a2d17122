"""The table of exported networks: the page is what the records give."""

import json
import sys
import time
from pathlib import Path

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT / 'tools/dev'))

import export_table  # noqa: E402


def test_the_page_is_current() -> None:
    records = json.loads(export_table.RECORDS.read_text())
    assert len(records) >= 5
    text = export_table.PAGE.read_text()
    between = text.partition(export_table.START)[2].partition(export_table.END)[0]
    assert between.strip() == export_table.table(records)


CONFIGS = [p for p in (ROOT / 'configs').glob('*/*.py')
           if not p.name.startswith('_') and p.parent.name != '_base_']  # fmt: skip
AGAIN = 'run python tools/dev/export_table.py configs/*'


def test_every_config_has_a_line_of_its_network() -> None:
    records = export_table.read_records()
    named = [name for record in records.values() for name in record['configs']]
    assert len(named) >= 145 and len(records) >= 84
    assert sorted(named) == sorted(path.stem for path in CONFIGS), AGAIN
    assert all(name == record['configs'][0] for name, record in records.items())


@pytest.mark.slow
def test_the_networks_that_were_exported_are_those_of_the_configs() -> None:
    found = {names[0]: (key, names) for key, names, _ in export_table.networks(CONFIGS)}
    records = export_table.read_records()
    recorded = {name: (one['network'], one['configs']) for name, one in records.items()}
    assert recorded == found, AGAIN


GOOD = dict(megabytes=1.25, difference=2e-6, agreement=0.99995, eager_ms=30.2, file_ms=9.9)


def test_a_line_for_what_exports_and_one_for_what_is_refused() -> None:
    lines = export_table.table(
        dict(
            a=dict(network='1', configs=['a', 'd', 'e'], openvino=dict(refused='why'), onnx=GOOD),
            b=dict(network='2', configs=['b'], onnx=dict(untried='no torchvision')),
            c=dict(network='3', configs=['c']),
        )
    ).splitlines()
    cells = [cell.strip() for cell in lines[2].split('|')[1:-1]]
    assert cells == ['a', 'onnx', '1.2', '2e-06', '99.995 %', '0.0 %', '30', '10']
    assert lines[3:] == [
        '', 'Refused:', '', '- a, openvino: why',
        '', 'Not tried:', '', '- b, onnx: no torchvision', '- c, onnx: not yet',
        '', 'Configs with the same network:', '', '- a: d, e',
    ]  # fmt: skip


def _config(folder: Path, name: str, model: str) -> Path:
    path = folder / f'{name}.py'
    path.write_text(f"model = dict(type='EncoderDecoder', {model})\n")
    return path


def test_configs_with_the_same_network_are_one(tmp_path) -> None:
    """Number of classes, weights to start from and losses make no other network; a width does."""
    head = "decode_head=dict(type='FCNHead', channels={}, num_classes={}, loss_decode={})"
    paths = [
        _config(tmp_path, 'c', head.format(8, 2, "dict(type='DiceLoss')")),
        _config(tmp_path, 'a', head.format(8, 5, '[]') + ", pretrained='x.pth'"),
        _config(tmp_path, 'b', head.format(9, 2, "dict(type='DiceLoss')")),
        _config(tmp_path, '_base_d', head.format(7, 2, "dict(type='DiceLoss')")),
    ]
    found = export_table.networks(paths)
    assert [names for _, names, _ in found] == [['a', 'c'], ['b']]
    assert len({key for key, _, _ in found}) == 2


def test_what_is_recorded_of_a_network_is_known_under_another_name_and_not_of_another() -> None:
    records = dict(old=dict(network='1', configs=['old'], onnx=GOOD))
    known = export_table.known(records, '1', ['new', 'old'])
    assert known == dict(network='1', configs=['new', 'old'], onnx=GOOD)
    assert export_table.known(records, '2', ['old']) == dict(network='2', configs=['old'])


def test_a_network_is_given_up() -> None:
    with pytest.raises(TimeoutError, match='more than 0.001 minutes'):
        with export_table.time_limit(0.001):
            time.sleep(5)
    time.sleep(0.1)  # the limit is gone with its block
