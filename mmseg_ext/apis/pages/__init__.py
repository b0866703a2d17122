"""HTML pages about runs: one run, several side by side, a whole table.

Each is one file that needs nothing else, made from the files of its runs only.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    complete='complete_runs',
    report='rows_of write_paper_report write_report write_table_report',
)
