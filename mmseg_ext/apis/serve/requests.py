"""One request over HTTP: what it asks for, and its answer. Each has a connection of its own."""

import contextlib
import io
import json
import socket
import sys
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ...core.words import message_of
from ...version import __version__
from .address import is_loopback
from .answer import Question
from .page import Asset
from .problems import RequestError

if TYPE_CHECKING:
    from .server import PageServer

_METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT')
_CHUNK = 1 << 16
_DRAIN_S = 2.0  # time to take in the rest of a request that was refused
_HEADERS = {
    # All that the page loads is of this server, its pictures may be made by its script.
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
    'Connection': 'close',
}


class _Timed(io.RawIOBase):
    """Bytes of a connection that must all arrive within some seconds, however they are cut."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError('the request did not arrive in time')
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Request(BaseHTTPRequestHandler):
    """Answer one request with a file of the fixed table, or a prediction, or a problem."""

    server: 'PageServer'
    protocol_version = 'HTTP/1.1'
    server_version = f'mmseg_ext/{__version__}'
    sys_version = ''

    def setup(self) -> None:
        """Let the whole request arrive in time, or not at all."""
        super().setup()
        self.rfile = io.BufferedReader(_Timed(self.connection, self.server.limits.seconds))
        self._unread = 0

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name in {f'do_{method}' for method in _METHODS}:
            return self._answer_request
        raise AttributeError(name)

    def _answer_request(self) -> None:
        try:
            self._check_sender()
            kind, content = self._find()
            self._send(HTTPStatus.OK, kind, content, {})
        except RequestError as problem:
            self._refuse(problem)
        except TimeoutError:
            seconds = self.server.limits.seconds
            self._refuse(
                RequestError(408, f'the request did not arrive within {seconds:g} seconds')
            )
        except ConnectionError:  # whoever asked has gone
            pass
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            self._refuse(RequestError(500, f'{type(error).__name__}: {message_of(error)}'))

    def _check_sender(self) -> None:
        """Refuse what another site's page makes a browser ask this server for.

        A name that leads here, but is not ours, is such a site, too ("DNS rebinding").

        Raises:
            RequestError: If it is refused.
        """
        host = self.headers.get('Host', '')
        name = urlsplit(f'//{host}').hostname or ''
        if self.server.is_local and not is_loopback(name):
            raise RequestError(421, f'{name!r} is not this host: ask for {self.server.url}')
        origin = self.headers.get('Origin')
        if origin is not None and urlsplit(origin).netloc != host:
            raise RequestError(403, f'the page {origin} is of another site: open {self.server.url}')

    def _find(self) -> tuple[str, bytes]:
        """Return the media type and the content of what is asked for."""
        path = urlsplit(self.path).path
        asset = self.server.assets.get(path)
        allowed = ('GET', 'HEAD') if asset else ('POST',) if path == '/predict' else ()
        if not allowed:
            known = 'the page is /, predictions are at /predict'
            raise RequestError(
                404, f'there is nothing at {path[:100]!r}: {known}, see /openapi.json'
            )
        if self.command not in allowed:
            methods = ', '.join(allowed)
            raise RequestError(405, f'{path} takes {methods}, not {self.command}', Allow=methods)
        return asset or Asset('application/json', self._predict())

    def _predict(self) -> bytes:
        length = self._length()
        details = self._details()
        with self.server.jobs.place():
            if self.headers.get('Expect', '').lower() == '100-continue':
                self.send_response_only(HTTPStatus.CONTINUE)
                self.end_headers()
            answer = self.server.jobs.run(Question(self._body(length), details))
        return _json(answer)

    def _length(self) -> int:
        """Return the length of the body, of which nothing is read yet."""
        text = self.headers.get('Content-Length')
        if text is None or 'Transfer-Encoding' in self.headers:
            raise RequestError(411, 'say the length of the body in Content-Length')
        if not (text.isascii() and text.isdigit()):
            raise RequestError(400, f'Content-Length {text[:20]!r} is no number')
        self._unread = int(text[:20])
        self.server.limits.check_length(self._unread)
        kind = self.headers.get('Content-Type', '')
        if kind.startswith('multipart/'):
            raise RequestError(
                415,
                'send the file as the body itself, not in a form: '
                'curl --data-binary @photo.jpg URL',
            )
        return self._unread

    def _details(self) -> bool:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        known = {'details': (['0'], ['1'])}
        wrong = [name for name, value in query.items() if value not in known.get(name, ())]
        if wrong:
            raise RequestError(400, f'the query holds {wrong[0][:50]!r}: it may hold details=1')
        return query.get('details') == ['1']

    def _body(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self.rfile.read1(min(_CHUNK, length - len(parts)))
            if not part:
                raise RequestError(400, f'the body ends after {len(parts)} of {length} bytes')
            parts += part
        self._unread = 0
        return bytes(parts)

    def handle_expect_100(self) -> bool:
        """Wait with the leave to go on until the request is checked."""
        return True

    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        """Refuse a request that is not HTTP, in the way of all others."""
        self.command = getattr(self, 'command', None) or 'GET'
        text = message or HTTPStatus(code).phrase
        self._refuse(RequestError(405 if code == 501 else 400, f'{text} ({int(code)})'))

    def _refuse(self, problem: RequestError) -> None:
        with contextlib.suppress(OSError):  # whoever asked may be gone
            content = _json(problem.content())
            self._send(problem.status, 'application/json', content, problem.headers)
            self._drain()

    def _send(self, status: int, kind: str, content: bytes, headers: dict[str, str]) -> None:
        self.connection.settimeout(self.server.limits.seconds)
        self.close_connection = True
        self.request_version = self.protocol_version  # earlier ones get no status
        self.send_response(status)
        lines = {'Content-Type': kind, 'Content-Length': str(len(content)), **headers, **_HEADERS}
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)

    def _drain(self) -> None:
        """Take in what is still sent: closing before would destroy the answer on its way."""
        if self._unread:
            self.connection.shutdown(socket.SHUT_WR)
            rest = _Timed(self.connection, _DRAIN_S)
            buffer = bytearray(_CHUNK)
            while rest.readinto(buffer):
                pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write a line for each answer, unless the server is to be quiet."""
        if not self.server.quiet:
            super().log_message(format, *args)


def _json(content: dict) -> bytes:
    return json.dumps(content, allow_nan=False).encode('ascii')
