"""The table of exported networks: the page is what the records give."""

import json
import sys

from support.paths import ROOT

sys.path.insert(0, str(ROOT / 'tools/dev'))

import export_table  # noqa: E402


def test_the_page_is_current() -> None:
    records = json.loads(export_table.RECORDS.read_text())
    assert len(records) >= 5
    text = export_table.PAGE.read_text()
    between = text.partition(export_table.START)[2].partition(export_table.END)[0]
    assert between.strip() == export_table.table(records)


def test_a_line_for_what_exports_and_one_for_what_is_refused() -> None:
    good = dict(megabytes=1.25, difference=2e-6, agreement=0.99995, eager_ms=30.2, file_ms=9.9)
    lines = export_table.table(
        dict(a=dict(onnx=good, openvino=dict(refused='why')), b=dict(onnx=dict(left_out='x')))
    ).splitlines()
    cells = [cell.strip() for cell in lines[2].split('|')[1:-1]]
    assert cells == ['a', 'onnx', '1.2', '2e-06', '99.995 %', '0.0 %', '30', '10']
    assert lines[3:] == ['', 'Refused:', '', '- a, openvino: why']
