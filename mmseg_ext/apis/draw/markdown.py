"""Markdown tables: PrettyTable does the layout, and this file escapes the cells."""

from collections.abc import Iterable, Sequence

from prettytable import PrettyTable, TableStyle


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Make a Markdown table whose columns are aligned left.

    Args:
        head: Names of the columns, all different.
        rows: Texts of the cells. Vertical bars are escaped, and line breaks become blanks, because
            both would end a cell.

    Returns:
        The lines of the table.
    """
    table = PrettyTable([_cell(text) for text in head])
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'l'
    table.add_rows([[_cell(text) for text in row] for row in rows])
    return table.get_string().splitlines()


def _cell(text: str) -> str:
    return ' '.join(text.splitlines()).replace('|', '\\|')
