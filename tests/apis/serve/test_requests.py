"""Requests over HTTP: the tool's own masks, one clear error for bad ones, and none lost."""

import concurrent.futures
import gc
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from support.serving import ask, running

from mmseg_ext.apis.serve.address import Address
from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.openapi import describe_api
from mmseg_ext.apis.serve.problems import STATUSES
from mmseg_ext.apis.serve.server import PageServer
from mmseg_ext.apis.use import Predictor


@pytest.fixture(scope='module')
def checkpoint(tiny_config, random_weights, tmp_path_factory):
    return random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'a.pth')


@pytest.fixture(scope='module')
def predictor(tiny_config, checkpoint):
    return Predictor(tiny_config, checkpoint, device='cpu')


@pytest.fixture(scope='module')
def server(predictor):
    with running(predictor, megabytes=0.2, megapixels=0.5, queue=256) as found:
        yield found


@pytest.fixture(scope='module')
def image(tiny_data) -> bytes:
    return (tiny_data / 'img' / '1.png').read_bytes()


class Held:
    """A predictor that waits until it is let go."""

    def __init__(self, predictor) -> None:
        self.model, self._predictor = predictor.model, predictor
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, *args, **kwargs):
        self.begun.set()
        assert self.go.wait(20)
        return self._predictor(*args, **kwargs)


# --- what there is ----------------------------------------------------------------------------


def _fits(value, schema: dict, root: dict) -> bool:
    """Whether a value is what a schema of the description says, of the words that it uses."""
    if '$ref' in schema:
        return _fits(value, root['components']['schemas'][schema['$ref'].split('/')[-1]], root)
    if 'anyOf' in schema:
        return any(_fits(value, one, root) for one in schema['anyOf'])
    kinds = dict(object=dict, array=list, string=str, integer=int, number=(int, float))
    if schema['type'] == 'null':
        return value is None
    assert set(schema) <= {
        'type', 'required', 'properties', 'additionalProperties', 'description', 'items', 'enum',
        'minimum', 'maximum', 'minItems', 'maxItems',
    }  # fmt: skip
    fine = isinstance(value, kinds[schema['type']]) and value in schema.get('enum', [value])
    if schema['type'] == 'object':
        known = schema['properties']
        return fine and set(schema['required']) <= set(value) <= set(known) and all(
            _fits(part, known[name], root) for name, part in value.items()
        )  # fmt: skip
    if schema['type'] == 'array':
        enough = schema.get('minItems', 0) <= len(value) <= schema.get('maxItems', len(value))
        return fine and enough and all(_fits(part, schema['items'], root) for part in value)
    if schema['type'] in ('integer', 'number'):
        fine = fine and schema.get('minimum', value) <= value <= schema.get('maximum', value)
    return fine


def test_answers_are_as_described(server, image):
    api = ask(server, '/openapi.json').json
    assert api == json.loads(json.dumps(describe_api('tiny', server.limits)))
    post = api['paths']['/predict']['post']
    for path in ('/predict', '/predict?details=0', '/predict?details=1'):
        reply = ask(server, path, image)
        schema = post['responses'][str(reply.status)]['content']['application/json']['schema']
        assert reply.status == 200 and _fits(reply.json, schema, api)
        assert ('labels' in reply.json) is path.endswith('1')
        assert not _fits(dict(reply.json, more=1), schema, api)
        assert not _fits(dict(reply.json, palette=[[1, 2, 300]]), schema, api)
    assert {int(status) for status in post['responses']} == {200, *STATUSES}


def test_the_page_and_nothing_else_is_served(server):
    kinds = dict.fromkeys(['/', '/page.css', '/page.js', '/openapi.json', '/samples/5.jpg'])
    kinds = {path: ask(server, path).headers['Content-Type'] for path in kinds}
    assert [*kinds.values()] == [
        'text/html; charset=utf-8', 'text/css; charset=utf-8', 'text/javascript; charset=utf-8',
        'application/json', 'image/jpeg',
    ]  # fmt: skip
    head = ask(server, '/', method='HEAD')
    whole = ask(server, '/')
    assert head.body == b'' and head.headers['Content-Length'] == str(len(whole.body))
    assert "script-src 'self'" in whole.headers['Content-Security-Policy']
    assert not re.search(rb'(?:src|href)="(?:https?:)?//', whole.body)
    for path in (
        '/nope', '/samples/6', '/samples/../page.css', '/../../../../etc/passwd',
        '/%2e%2e/%2e%2e/etc/passwd', '//etc/passwd', '/samples/0/../../tools/serve.py',
    ):  # fmt: skip
        assert ask(server, path).status == 404, path


# --- bad requests -----------------------------------------------------------------------------


def _raw(server, text: bytes, *, end: bool = True) -> tuple[int, dict]:
    """Status and JSON of the answer to bytes of our own."""
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(text)
        if end:
            connection.shutdown(socket.SHUT_WR)
        reply = b''.join(iter(lambda: connection.recv(1 << 16), b''))
    head, _, body = reply.partition(b'\r\n\r\n')
    return int(head.split()[1]), json.loads(body)


def _post(*lines: str, body: bytes = b'') -> bytes:
    lines = ('POST /predict HTTP/1.1', 'Host: localhost', *lines, '', '')
    return '\r\n'.join(lines).encode() + body


BAD = {
    'empty': (dict(path='/predict', body=b''), 400, 'empty: send the bytes of an image'),
    'text': (dict(path='/predict', body=b'words'), 415, 'no image .* send JPEG, PNG'),
    'bytes': (dict(path='/predict', body=bytes(200_001)), 413, '200001 bytes, at most 200000'),
    'far too many': (dict(path='/predict', body=bytes(9_000_000)), 413, '9000000 bytes'),
    'form': (
        dict(path='/predict', body=b'x', Content_Type='multipart/form-data; boundary=x'),
        415,
        'not in a form: curl --data-binary',
    ),
    'query': (dict(path='/predict?detials=1', body=b'x'), 400, "holds 'detials': .* details=1"),
    'value': (dict(path='/predict?details=yes', body=b'x'), 400, "holds 'details'"),
    'method': (dict(path='/predict'), 405, 'takes POST, not GET'),
    'method of the page': (dict(path='/', body=b'x'), 405, 'takes GET, HEAD, not POST'),
    'other method': (dict(path='/predict', method='DELETE'), 405, 'takes POST, not DELETE'),
    'host': (dict(path='/', Host='evil.example:80'), 421, "'evil.example' is not this host: ask"),
    'origin': (
        dict(path='/predict', body=b'x', Origin='https://evil.example'),
        403,
        'the page https://evil.example is of another site',
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_request_gets_one_line(server, name):
    request, status, text = BAD[name]
    reply = ask(server, **request)
    error = reply.json['error']
    assert reply.status == error['status'] == status and status in STATUSES
    assert re.search(text, error['message']) and '\n' not in error['message']
    assert status != 405 or reply.headers['Allow'] in ('POST', 'GET, HEAD')


RAW = {
    'no HTTP': (b'hello\r\n\r\n', 400, 'hello'),
    'no length': (_post(), 411, 'Content-Length'),
    'chunks': (_post('Transfer-Encoding: chunked', body=b'0\r\n\r\n'), 411, 'Content-Length'),
    'length': (_post('Content-Length: -1'), 400, "'-1' is no number"),
    'short': (_post('Content-Length: 9', body=b'abcd'), 400, 'ends after 4 of 9 bytes'),
    'too long': (_post('Content-Length: ' + '9' * 30), 413, 'at most'),
    'unknown method': (b'FETCH / HTTP/1.1\r\nHost: localhost\r\n\r\n', 405, 'FETCH'),
    'line': (b'GET /' + b'a' * 70000 + b' HTTP/1.1\r\n\r\n', 400, 'Long'),
    'host of others': (b'GET / HTTP/1.1\r\n\r\n', 421, 'is not this host'),
}


@pytest.mark.parametrize('name', RAW)
def test_what_no_library_would_send_gets_one_line(server, name):
    text, status, message = RAW[name]
    found, body = _raw(server, text)
    assert found == body['error']['status'] == status
    assert message in body['error']['message'] and '\n' not in body['error']['message']


def test_a_refused_image_is_named_without_a_path(server, image):
    reply = ask(server, '/predict', image[: len(image) // 2])
    assert reply.status == 422
    damaged = image[:300] + bytes(40) + image[340:]
    message = ask(server, '/predict', damaged).json['error']['message']
    assert message.startswith('the image: cannot be decoded') and 'tmp' not in message


def test_bytes_are_asked_for_once_the_request_is_checked(server, image):
    expect = ('Expect: 100-continue', 'Content-Length: 999999')
    assert _raw(server, _post(*expect), end=False)[0] == 413  # nothing was sent
    with socket.create_connection(server.server_address[:2], timeout=20) as connection:
        connection.sendall(_post('Expect: 100-continue', f'Content-Length: {len(image)}'))
        assert connection.recv(100) == b'HTTP/1.1 100 Continue\r\n\r\n'
        connection.sendall(image)
        assert connection.recv(12) == b'HTTP/1.1 200'


def test_a_slow_request_is_given_up(predictor):
    with running(predictor, seconds=0.3) as server:
        slow = _post('Content-Length: 9', body=b'abcd')
        start = time.monotonic()
        status, body = _raw(server, slow, end=False)
        assert status == 408 and 'within 0.3 seconds' in body['error']['message']
        assert time.monotonic() - start < 5
        with socket.create_connection(server.server_address[:2], timeout=20) as connection:
            connection.sendall(b'GET / HT')
            assert connection.recv(1) == b''  # closed


# --- many requests ----------------------------------------------------------------------------


def test_what_finds_no_place_is_told_to_come_again(predictor, image):
    held = Held(predictor)
    with running(held, queue=1) as server, concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(ask, server, '/predict', image)
        assert held.begun.wait(20)
        reply = ask(server, '/predict', image)
        assert reply.status == 503 and int(reply.headers['Retry-After']) >= 1
        assert '1 images are waiting' in reply.json['error']['message']
        assert ask(server, '/').status == 200  # the page is there all the same
        held.go.set()
        assert first.result().status == 200


def _resident() -> float:
    gc.collect()
    line = next(x for x in Path('/proc/self/status').read_text().splitlines() if 'VmRSS' in x)
    return int(line.split()[1]) / 1024


def _at_once(server, image: bytes, count: int) -> list[int]:
    """How often each of ``count`` clients was refused until it got its answer."""
    expected = ask(server, '/predict', image).json['mask']
    together = threading.Barrier(count)

    def client() -> int:
        together.wait(60)
        for refused in range(1000):
            reply = ask(server, '/predict', image)
            if reply.status == 200:
                assert reply.json['mask'] == expected
                return refused
            assert reply.status == 503 and int(reply.headers['Retry-After']) >= 1
            time.sleep(0.1)
        raise AssertionError('never answered')

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [done.result() for done in [pool.submit(client) for _ in range(count)]]


@pytest.mark.skipif(not os.path.exists('/proc/self/status'), reason='needs /proc')
def test_of_200_at_once_none_is_lost_and_memory_stays(server, predictor, image):
    _at_once(server, image, 50)
    before = _resident()
    assert _at_once(server, image, 200) == [0] * 200  # the queue takes all
    after = _resident()
    print(f'\n{before:.0f} MB before 200 requests, {after:.0f} MB after')
    assert after - before < 40  # a single one that were kept: 200 answers of 9 kB, 200 threads
    with running(predictor, queue=3) as short:
        refused = _at_once(short, image, 60)
    assert len(refused) == 60 and sum(refused) > 0


# --- the address and the tool -----------------------------------------------------------------


@pytest.mark.parametrize('host', ['0.0.0.0', '192.0.2.1', 'example.org', '::'])
def test_others_are_let_in_only_if_that_is_said(host):
    with pytest.raises(ValueError, match=f'--host {host} lets other machines in.*add --public'):
        Address(host)
    assert Address(host, public=True).host == host


@pytest.mark.parametrize('host', ['127.0.0.1', '127.0.0.9', 'localhost', '::1'])
def test_this_machine_is_let_in(host):
    assert Address(host).public is False


@pytest.mark.parametrize('address, text', [
    (dict(host='192.0.2.1', public=True), '192.0.2.1 is no address of this machine'),
    (dict(host='no.such.host.invalid', public=True), 'no.such.host.invalid is no address'),
])  # fmt: skip
def test_an_address_that_is_not_ours_is_one_line(address, text):
    with pytest.raises(OSError, match=text):
        PageServer(Address(**address), Limits())
