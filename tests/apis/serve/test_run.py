"""The tool: a port in use, Ctrl-C, and words that it does not take."""

import contextlib
import http.client
import os
import signal
import socket
import threading
from socketserver import ThreadingMixIn

import pytest
from support.serving import ask
from support.tools import load_tool

from mmseg_ext.apis import cli
from mmseg_ext.apis.serve.address import Address
from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.server import PageServer
from mmseg_ext.core.signals import Stopped


@pytest.fixture(scope='module')
def checkpoint(tiny_config, random_weights, tmp_path_factory):
    return random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'a.pth')


def test_a_port_in_use_is_told_before_the_model_is_loaded(monkeypatch, capsys):
    taken = socket.create_server(('127.0.0.1', 0))
    port = taken.getsockname()[1]
    with pytest.raises(ValueError, match='--port must be a number from 0 to 65535, got 65536'):
        Address(port=65536)
    tool = load_tool('serve')
    monkeypatch.setattr('sys.argv', ['serve.py', 'fmsi_xception_voc', 'gone.pth', f'--port={port}'])
    with pytest.raises(SystemExit) as ended:
        cli.run_tool(tool.main)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    taken.close()
    assert f'error: port {port} of 127.0.0.1 is in use: give another with --port' in said


def test_the_tool_serves_until_ctrl_c(
    tiny_config, tiny_data, checkpoint, monkeypatch, capsys, free_port
):
    monkeypatch.setattr('sys.argv', [
        'serve.py', str(tiny_config), str(checkpoint), '--port', str(free_port), '--device=cpu',
    ])  # fmt: skip
    image = (tiny_data / 'img' / '1.png').read_bytes()
    seen, before, over = [], set(threading.enumerate()), threading.Event()

    class There:
        server_address = ('127.0.0.1', free_port)

    def user() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(ConnectionRefusedError):
                try:
                    seen.append(ask(There, '/predict', image).status)
                except (OSError, http.client.HTTPException) as error:
                    if isinstance(error, ConnectionRefusedError):  # it does not listen yet
                        raise
                    seen.append(error)  # what went wrong is told, and nobody waits for ever
                os.kill(os.getpid(), signal.SIGINT)
                return

    # a test run in the background ignores it, and so would the tool
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=user).start()
    try:
        with pytest.raises(SystemExit) as ended:
            cli.run_tool(load_tool('serve').main)
    finally:
        over.set()
        signal.signal(signal.SIGINT, ignored)
    assert ended.value.code == 130 and seen == [200]
    out, err = capsys.readouterr()
    assert f'tiny at http://127.0.0.1:{free_port}/  (Ctrl-C ends it)' in out
    assert err.strip().splitlines()[-1] == 'stopped by SIGINT' and 'Traceback' not in err
    assert '"POST /predict HTTP/1.1" 200' in err
    with pytest.raises(ConnectionRefusedError):
        ask(There, '/')
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name == 'predict']


def test_a_word_too_much_is_named(tiny_config, checkpoint, monkeypatch):
    words = ['serve.py', str(tiny_config), str(checkpoint), 'photo.jpg']
    monkeypatch.setattr('sys.argv', words)
    with pytest.raises(ValueError, match='photo.jpg is too much'):
        load_tool('serve').main()


def test_a_signal_while_a_connection_is_taken_ends_the_server(monkeypatch):
    """Even if the thread of the connection has ended by then: its place was given back twice."""

    def started_and_stopped(server, request, client):
        server.process_request_thread(request, client)
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(ThreadingMixIn, 'process_request', started_and_stopped)
    server = PageServer(Address(port=0), Limits(), quiet=True)
    ours, theirs = socket.socketpair()
    theirs.close()
    try:
        with pytest.raises(Stopped):
            server.process_request(ours, ('127.0.0.1', 1))
    finally:
        server.server_close()
