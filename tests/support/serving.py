"""A model of random weights behind the web server, in this process, and a client of it."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmseg_ext.apis.serve.address import Address
from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.server import PageServer


class Reply(NamedTuple):
    """What a request was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers['Content-Type'] == 'application/json'
        return json.loads(self.body)


def spread_classes(config: Any, checkpoint: Path, image: Path) -> Path:
    """Change random weights so that on an image no class is ahead of the others everywhere."""
    import torch

    from mmseg_ext.apis.use import Predictor

    predictor = Predictor(config, checkpoint, device='cpu')
    last = predictor.model.decode_head.conv_seg
    seen: list = []
    with last.register_forward_hook(lambda module, inputs, output: seen.append(output)):
        predictor(image)
    std, mean = torch.std_mean(seen[0][0], dim=(1, 2))
    with torch.no_grad():
        last.weight /= std[:, None, None, None]
        last.bias.copy_((last.bias - mean) / std)
    torch.save(dict(state_dict=predictor.model.state_dict()), checkpoint)
    return checkpoint


@contextlib.contextmanager
def running(predictor: Any, name: str = 'tiny', **limits: Any) -> Iterator[PageServer]:
    """A server on a free port that answers until the block ends."""
    server = PageServer(Address(port=0), Limits(**limits), quiet=True)
    server.open(predictor, name)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.close()


def ask(
    server: PageServer, path: str, body: Any = None, *, method: str = '', **headers: str
) -> Reply:
    """Send one request and take its answer; a body is posted."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    sent = {name.replace('_', '-'): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method or ('GET' if body is None else 'POST'), path, body, sent)
        reply = connection.getresponse()
        return Reply(reply.status, dict(reply.getheaders()), reply.read())
