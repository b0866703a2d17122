"""A user's data: the file that describes them, its check, and how it fits into any config.

``init_data_file`` writes the file, ``check_data`` reads all it names, ``apply_dataset`` uses it.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    apply='apply_dataset',
    init='init_data_file',
    read='read_data_file',
    weights='as_table count_split weigh',
    **{
        'checks.check': 'check_data',
        'checks.page': 'write_page',
        'checks.text': 'as_text',
    },
)
