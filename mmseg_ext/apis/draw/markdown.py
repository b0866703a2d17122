"""A table as Markdown: PrettyTable lays it out, here is what it leaves to its caller."""

from collections.abc import Iterable, Sequence

from prettytable import PrettyTable, TableStyle


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out text as a table of Markdown, columns flush left.

    Args:
        head: Names of the columns, each once.
        rows: Cells. A bar and a line break would end a cell: the one is escaped, the other a blank.

    Returns:
        Its lines.
    """
    table = PrettyTable([_cell(text) for text in head])
    table.set_style(TableStyle.MARKDOWN)
    table.align = 'l'
    table.add_rows([[_cell(text) for text in row] for row in rows])
    return table.get_string().splitlines()


def _cell(text: str) -> str:
    return ' '.join(text.splitlines()).replace('|', '\\|')
