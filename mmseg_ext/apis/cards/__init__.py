"""README cards: what finished runs leave in a paper's folder, and the sections made of it.

Everything comes from committed results, nothing is typed in.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    card='generate pages pictures',
    fold_record='collect_all',
    front='fill',
    record='collect',
    results_csv='RESULTS_FILE',
)
