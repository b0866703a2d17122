"""A trained model of any kind, as a user names it, on files and arrays.

Exported files are models, too.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    given='find_inputs find_model',
    predictor='Predictor',
)
