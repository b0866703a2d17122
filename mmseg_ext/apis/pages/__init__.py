"""HTML pages about runs, alone or side by side, whole tables, and rounds of active learning.

A page is one file that needs no other. It is made only from the files in its runs' folders.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    active='write_active_report',
    complete='complete_runs',
    people='write_people_report',
    report='rows_of write_paper_report write_report write_table_report',
    **{'look.page': 'write_look'},
)
