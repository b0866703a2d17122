"""Download, resume, verification and unpacking against a server and archives made here."""

import gzip
import hashlib
import io
import re
import runpy
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.paths import ROOT

from mmseg_ext.datasets.download import ARCHIVES, Archive, download, fetch_dataset, unpack, verify

TOOL = ROOT / 'tools/download_dataset.py'
HOLDS = ARCHIVES['voc2012'].holds


def tar_bytes(files, *, extra=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info, io.BytesIO(b'x' * info.size))
    return buffer.getvalue()


def voc_files():
    base = 'VOCdevkit/VOC2012'
    files = {f'{base}/ImageSets/Segmentation/{s}.txt': b'a\n' for s in ('train', 'val', 'trainval')}
    files[f'{base}/JPEGImages/a.jpg'] = bytes(range(256)) * 400
    files[f'{base}/SegmentationClass/a.png'] = b'mask'
    return files


class Server:
    """Serves one file; can break off, refuse ranges, or answer with errors."""

    def __init__(self, data):
        self.data, self.cut_after, self.ranges, self.error = data, None, True, None
        self.starts, self.sent = [], 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = HTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.http.server_port}/voc.tar'
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        if self.error:
            handler.send_error(self.error)
            return
        wanted = re.match(r'bytes=(\d+)-', handler.headers.get('Range', ''))
        start = int(wanted.group(1)) if wanted and self.ranges else 0
        self.starts.append(start)
        if start >= len(self.data):
            handler.send_response(416)
            handler.send_header('Content-Range', f'bytes */{len(self.data)}')
            handler.end_headers()
            return
        handler.send_response(206 if wanted and self.ranges else 200)
        handler.send_header('Content-Length', str(len(self.data) - start))
        handler.end_headers()
        last = len(self.data) if self.cut_after is None else start + self.cut_after
        piece = self.data[start:last]
        self.sent += len(piece)  # before the client can have it and ask
        handler.wfile.write(piece)


@pytest.fixture
def server():
    running = Server(tar_bytes(voc_files()))
    yield running
    running.http.shutdown()
    running.http.server_close()


def archive_of(server):
    md5 = hashlib.md5(server.data).hexdigest()
    return replace(ARCHIVES['voc2012'], url=server.url, md5=md5)


def test_fetch_verify_unpack_and_reuse(server, tmp_path):
    folder, fetched = fetch_dataset(archive_of(server), tmp_path / 'data', progress=False)
    assert fetched and folder == str(tmp_path / 'data/VOCdevkit/VOC2012')
    for name, content in voc_files().items():
        assert (tmp_path / 'data' / name).read_bytes() == content
    assert [p.name for p in (tmp_path / 'data').iterdir()] == ['VOCdevkit']
    assert fetch_dataset(archive_of(server), tmp_path / 'data', progress=False)[1] is False
    assert server.starts == [0]


def test_broken_connections_are_resumed_and_no_byte_comes_twice(server, tmp_path):
    server.cut_after = 30_000
    download(server.url, tmp_path / 'a.tar', progress=False)
    assert (tmp_path / 'a.tar').read_bytes() == server.data
    assert server.sent == len(server.data)
    assert server.starts == list(range(0, len(server.data), 30_000))
    assert not (tmp_path / 'a.tar.part').exists()


def test_a_later_run_goes_on_where_the_first_stopped(server, tmp_path):
    (tmp_path / 'a.tar.part').write_bytes(server.data[:12_345])
    download(server.url, tmp_path / 'a.tar', progress=False)
    assert server.starts == [12_345] and (tmp_path / 'a.tar').read_bytes() == server.data


def test_a_part_that_is_complete_needs_no_more_bytes(server, tmp_path):
    (tmp_path / 'a.tar.part').write_bytes(server.data)
    download(server.url, tmp_path / 'a.tar', progress=False)
    assert server.sent == 0 and (tmp_path / 'a.tar').read_bytes() == server.data


def test_a_part_that_is_too_long_is_begun_again(server, tmp_path):
    (tmp_path / 'a.tar.part').write_bytes(server.data + b'more')
    download(server.url, tmp_path / 'a.tar', progress=False)
    assert (tmp_path / 'a.tar').read_bytes() == server.data


def test_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    (tmp_path / 'a.tar.part').write_bytes(b'something else')
    download(server.url, tmp_path / 'a.tar', progress=False)
    assert (tmp_path / 'a.tar').read_bytes() == server.data


def test_giving_up_keeps_what_came_and_says_how_to_go_on(server, tmp_path):
    (tmp_path / 'a.tar.part').write_bytes(server.data[:500])
    server.error = 503
    with pytest.raises(OSError, match=r'503.*500 bytes are kept.*again to go on'):
        download(server.url, tmp_path / 'a.tar', attempts=2, progress=False)
    assert (tmp_path / 'a.tar.part').stat().st_size == 500
    server.error = 404
    with pytest.raises(OSError, match='404'):
        download(server.url, tmp_path / 'a.tar', progress=False)


def test_only_web_addresses(tmp_path):
    with pytest.raises(ValueError, match='only http'):
        download('file:///etc/hostname', tmp_path / 'a', progress=False)


def test_corrupted_file_is_removed_and_nothing_unpacked(server, tmp_path):
    archive = archive_of(server)
    server.data = server.data[:1000] + b'!' + server.data[1001:]
    with pytest.raises(ValueError, match=r'voc\.tar.*MD5.*expected.*removed'):
        fetch_dataset(archive, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_md5_of_a_known_text(tmp_path):
    (tmp_path / 'a').write_bytes(b'message digest')  # a test vector of RFC 1321
    verify(tmp_path / 'a', 'f96b697d7cb7938d525a2f31aaf161d0')


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def plain(name):
    info = tarfile.TarInfo(name)
    info.size = 4
    return info


@pytest.mark.parametrize(
    'members',
    [
        [plain('../evil.txt')],
        [plain('VOCdevkit/../../evil.txt')],
        [link('VOCdevkit/out', '/tmp')],
        [link('VOCdevkit/in', 'VOC2012')],
        [plain('VOCdevkit\\..\\..\\evil.txt')],
        [link('VOCdevkit/out', '../..'), plain('VOCdevkit/out/evil.txt')],
        [link('VOCdevkit/hard', '../../secret', tarfile.LNKTYPE)],
        [link('VOCdevkit/device', '', tarfile.CHRTYPE)],
    ],
)
def test_evil_archives_are_stopped_and_leave_nothing(tmp_path, members):
    out = tmp_path / 'deep/data'
    out.mkdir(parents=True)
    (tmp_path / 'secret').write_text('secret')
    (tmp_path / 'evil.tar').write_bytes(tar_bytes(voc_files(), extra=members))
    with pytest.raises(ValueError, match=r'evil\.tar: not unpacked'):
        unpack(tmp_path / 'evil.tar', out, inner='VOCdevkit/VOC2012', progress=False)
    assert not list(out.iterdir())
    assert sorted(p.name for p in tmp_path.rglob('*')) == ['data', 'deep', 'evil.tar', 'secret']


def test_absolute_paths_land_inside(tmp_path):
    (tmp_path / 'a.tar').write_bytes(tar_bytes({'/VOCdevkit/VOC2012/a': b'1'}))
    unpack(tmp_path / 'a.tar', tmp_path, inner='VOCdevkit/VOC2012', progress=False)
    assert (tmp_path / 'VOCdevkit/VOC2012/a').read_bytes() == b'1'


def test_damaged_and_other_archives(tmp_path):
    data = tar_bytes(voc_files())
    (tmp_path / 'a.tar').write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'a\.tar'):
        unpack(tmp_path / 'a.tar', tmp_path, inner='VOCdevkit/VOC2012', holds=HOLDS, progress=False)
    (tmp_path / 'a.tar').write_bytes(tar_bytes({'VOCdevkit/VOC2012/readme': b'1'}))
    with pytest.raises(ValueError, match='holds no VOCdevkit/VOC2012/JPEGImages'):
        unpack(tmp_path / 'a.tar', tmp_path, inner='VOCdevkit/VOC2012', holds=HOLDS, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ['a.tar']


def test_what_is_no_tar_file_gets_one_line(tmp_path):
    texts = dict(
        text=b'hello ' * 300,
        gz=gzip.compress(b'hello ' * 300),
        cut=gzip.compress(tar_bytes(voc_files()))[:-40],
        empty=b'',
        zip=b'PK\3\4' + bytes(600),
    )
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
        with pytest.raises(ValueError, match=f'{name}: not unpacked') as caught:
            unpack(tmp_path / name, tmp_path, inner='VOCdevkit/VOC2012', progress=False)
        assert '\n' not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(texts)


def test_what_unfolds_is_bounded(tmp_path):
    bomb = io.BytesIO()
    with tarfile.open(fileobj=bomb, mode='w:gz', format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo('VOCdevkit/VOC2012/zeros')
        info.size = 80 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    (tmp_path / 'bomb').write_bytes(bomb.getvalue())
    with pytest.raises(ValueError, match='bomb: not unpacked.*unfolds to more than 100 times'):
        unpack(tmp_path / 'bomb', tmp_path, inner='VOCdevkit/VOC2012', progress=False)
    info = tarfile.TarInfo('long')  # a name of 80 MB, which tarfile would hold in memory
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 80 << 20
    (tmp_path / 'name').write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(81 << 20)))
    with pytest.raises(ValueError, match='name: not unpacked.*a header of'):
        unpack(tmp_path / 'name', tmp_path, inner='VOCdevkit/VOC2012', progress=False)


@pytest.mark.parametrize('kind', ['gz', 'bz2', 'xz'])
def test_compressed_archives_are_unpacked(tmp_path, kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f'w:{kind}') as tar:
        info = plain('VOCdevkit/VOC2012/a')
        tar.addfile(info, io.BytesIO(b'1234'))
    (tmp_path / 'a').write_bytes(buffer.getvalue())
    unpack(tmp_path / 'a', tmp_path, inner='VOCdevkit/VOC2012', progress=False)
    assert (tmp_path / 'VOCdevkit/VOC2012/a').read_bytes() == b'1234'


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'x/y').mkdir(parents=True)
    with pytest.raises(FileExistsError, match='holds no z'):
        fetch_dataset(Archive('http://127.0.0.1:9/a.tar', '0', 'x/y', ('z',)), tmp_path)


def test_tool_refuses_the_wrong_file(server, tmp_path, python_tool):
    done = python_tool(
        TOOL, 'voc2012', '--out', tmp_path, '--url', server.url, check=False,
        env={'MMSEG_EXT_PROGRESS': '1'},
    )  # fmt: skip  # the real file's checksum
    assert done.returncode != 0 and 'expected 6cd6e144' in done.stderr
    assert 'voc.tar 1/1, ' in done.stderr  # megabytes
    assert not list(tmp_path.iterdir())


def test_tool_prints_where(server, tmp_path, monkeypatch, capsys):
    md5 = hashlib.md5(server.data).hexdigest()
    arguments = ['voc2012', '--out', str(tmp_path), '--url', server.url, '--md5', md5]
    monkeypatch.setattr('sys.argv', ['download_dataset.py', *arguments])
    runpy.run_path(str(TOOL), run_name='__main__')
    assert 'VOCdevkit/VOC2012: complete\n' in capsys.readouterr().out
