"""README cards: record finished runs in a paper's folder, and write the card's results from them.

All numbers of a card come from these committed records; nothing is typed in.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    card='generate pictures',
    fold_record='collect_all',
    record='collect',
)
