"""Markdown tables: read back as a reader of Markdown reads them."""

import re

import pytest

from mmseg_ext.apis.draw.markdown import markdown_table


def _read(lines):
    """Cells between the bars that are not escaped."""
    cells = [re.split(r'(?<!\\)\|', line)[1:-1] for line in lines]
    return [[cell.strip().replace('\\|', '|') for cell in row] for row in cells]


def test_cells_come_back_whatever_they_hold():
    head = ['row', 'a | b', '']
    rows = [['x|y', 'two\nlines', ''], ['±', '**', '<script>'], ['a much longer one', '\\*', ' 1 ']]
    read = _read(markdown_table(head, rows))
    assert read[0] == head
    assert all(re.fullmatch(':-+', cell) for cell in read[1])
    assert read[2:] == [['x|y', 'two lines', ''], *rows[1:2], ['a much longer one', '\\*', '1']]


def test_no_rows_and_a_column_twice():
    assert len(markdown_table(['a', 'b'], [])) == 2
    with pytest.raises(ValueError, match='unique'):
        markdown_table(['a', 'a'], [])
