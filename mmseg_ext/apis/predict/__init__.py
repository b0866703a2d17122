"""Trained models on images: predictions, averages, windows, dense CRF.

Images are prepared as the loader of the test prepares them.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    average='load_average run_average',
    found='find_images',
    output='predict_to_folder',
    scores='bald entropy flip_disagreement least_confidence variance',
    video='is_video',
)
