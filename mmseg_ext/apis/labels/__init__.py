"""Few labels: which images to label next, the rounds of it, and labelling tools.

Scores and selectors are functions of plain arrays; trainings are those of ``run``.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    candidates='Candidates',
    merge='merge_masks',
    pool='ScorePool',
    project='export_project find_unlabelled read_finished',
    select='choose',
)
