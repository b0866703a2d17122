"""The strategies of active learning: a score of the pool, and how to choose by it."""

from typing import NamedTuple, Optional

from ...core.choices import SCORES


class Strategy(NamedTuple):
    """How labels are chosen.

    Args:
        score: Of ``SCORES``; ``None`` needs no model.
        selector: Of ``SELECTORS``.
        with_labelled: Whether the features of what has labels are needed, too.
    """

    score: Optional[str]
    selector: str
    with_labelled: bool = False


STRATEGIES = dict(
    random=Strategy(None, 'random'),
    random_foreground=Strategy('entropy', 'random_foreground'),
    **{score: Strategy(score, 'top') for score in SCORES},
    k_centre=Strategy('entropy', 'k_centre', with_labelled=True),
    class_balanced=Strategy('entropy', 'class_balanced'),
    cluster_diverse=Strategy('entropy', 'cluster_diverse'),
    clasp_pe=Strategy('entropy', 'clasp_pe'),
)
