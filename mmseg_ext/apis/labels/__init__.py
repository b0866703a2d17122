"""Few labels: which images to label next, the rounds of it, and labelling tools.

Scores and selectors are functions of plain arrays; trainings are those of ``run``.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    candidates='Candidates',
    choice='choose_images',
    merge='merge_masks',
    people='PeopleLoop',
    people_round='people_rounds',
    plan='Plan holds_rounds read_plan settle',
    pool='ScorePool',
    predicted='predict_masks',
    project='export_project find_unlabelled read_finished without_predictions',
    rounds='Rounds',
    select='choose',
    steps='Steps',
    subset='Pool',
    summary='SUMMARY as_text summarise',
)
