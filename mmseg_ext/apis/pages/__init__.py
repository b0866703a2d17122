"""HTML pages about one run, several runs side by side, or a whole table.

A page is one file that needs no other. It is made only from the files in its runs' folders.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    complete='complete_runs',
    report='rows_of write_paper_report write_report write_table_report',
)
