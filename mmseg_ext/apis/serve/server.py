"""The server: an address, a thread for each connection, one thread that predicts."""

import json
import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from ..use import Predictor
from .address import Address, is_loopback
from .answer import Answerer
from .jobs import Jobs
from .limits import Limits
from .openapi import describe_api
from .page import Asset, make_assets
from .requests import Request
from .samples import find_samples

_CONNECTIONS = 512  # at the same time; more wait until one of them has ended


class PageServer(ThreadingMixIn, TCPServer):
    """Serve the page and the predictions of a model.

    The address is taken at once, so that a port in use is known before a model is loaded; who asks
    is answered after :meth:`open`.

    Args:
        address: Where to listen.
        limits: What is taken at most.
        quiet: Whether to leave out the line for each answer.

    Raises:
        OSError: If the port is in use, or the host is not of this machine.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = _CONNECTIONS

    def __init__(self, address: Address, limits: Limits, *, quiet: bool = False) -> None:
        self.address_family = socket.AF_INET6 if ':' in address.host else socket.AF_INET
        self.limits, self.quiet, self.is_local = limits, quiet, is_loopback(address.host)
        self.assets: dict[str, Asset] = {}
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__((address.host, address.port), Request, bind_and_activate=False)
        try:
            self.server_bind()
        except OSError as error:
            self.socket.close()
            raise address.explain(error) from error

    @property
    def url(self) -> str:
        """Address of the page."""
        host, port = self.server_address[:2]
        return f'http://{f"[{host!s}]" if ":" in str(host) else str(host)}:{port}/'

    def open(self, predictor: Predictor, name: str) -> None:
        """Make the page, and start to listen.

        Args:
            predictor: The model.
            name: As the page calls it.
        """
        meta = predictor.model.dataset_meta
        samples = find_samples(predictor.model.cfg, self.limits)
        self.assets = make_assets(name, meta, self.limits, samples)
        description = json.dumps(describe_api(name, self.limits), indent=1).encode()
        self.assets['/openapi.json'] = Asset('application/json', description)
        self.answerer = Answerer(predictor, self.limits)
        self.jobs = Jobs(self.answerer, size=self.limits.queue, seconds=self.limits.seconds)
        self.server_activate()

    def close(self) -> None:
        """Stop listening; refuse what waits, and wait a little for what is predicted."""
        self.server_close()
        if hasattr(self, 'jobs'):
            self.jobs.close()
            self.answerer.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, or wait until there may be another one."""
        self._places.acquire()
        try:
            super().process_request(request, client_address)
        except Exception:  # no thread; a request to end may come once there is one, which releases
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer within the thread of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent where the other side has gone; requests report their errors themselves."""
