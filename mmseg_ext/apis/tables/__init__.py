"""A paper's tables: rows, the runs they lack, their values, as text.

``tables.yml`` says what a table is; ``run_table`` trains and tests what it lacks.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    folders='find_runs',
    jobs='Settings',
    models='table_models',
    rows='Table choose_table read_tables select',
    run='run_table',
    submit='submit_table',
    text='format_markdown format_text report_table write_table',
)
