"""A trained model in the browser: a page to try it with, and its predictions as JSON over HTTP.

Python's own web server is enough; the model predicts one image at a time.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    address='Address',
    limits='Limits',
    run='serve_model',
    server='PageServer',
)
