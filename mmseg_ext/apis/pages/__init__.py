"""HTML pages about runs: one run, several side by side, a whole table.

Each is one file that needs nothing else, made from the files of its runs only.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    compare_page='write_table_report',
    run_page='write_report',
)
