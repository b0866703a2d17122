"""Serve a model until somebody stops the program."""

from collections.abc import Callable

from ...core.progress import is_quiet
from ..use import Predictor
from .address import Address
from .limits import Limits
from .server import PageServer


def serve_model(
    load: Callable[[], Predictor],
    name: str,
    *,
    address: Address,
    limits: Limits,
) -> None:
    """Serve a model, and return only by an exception, such as that of Ctrl-C.

    Each answer is a line on standard error, unless ``--quiet`` is given.

    Args:
        load: Loads the model, once the port is ours.
        name: Of the model, as the page calls it.
        address: Where to listen.
        limits: What is taken at most.

    Raises:
        OSError: If the port is in use.
        Stopped: If a signal asks for the end.
    """
    server = PageServer(address, limits, quiet=is_quiet())
    try:
        server.open(load(), name)
        print(f'{name} at {server.url}  (Ctrl-C ends it)', flush=True)
        server.serve_forever()
    finally:
        server.close()
