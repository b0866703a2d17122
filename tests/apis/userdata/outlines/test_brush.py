"""Label Studio's run lengths: bits by hand, random masks, the SDK's own codec where it is there."""

import numpy as np
import pytest
from support.label_tools import ask, python_of

from mmseg_ext.apis.userdata.outlines.brush import decode_brush, encode_brush


def masks():
    random = np.random.default_rng(0)
    yield np.zeros((1, 1), bool)
    yield np.ones((1, 1), bool)
    yield np.zeros((7, 5), bool)
    yield np.ones((300, 300), bool)  # 360,000 values: runs are cut at 65,536
    for _ in range(60):
        height, width = random.integers(1, 70, 2)
        yield random.random((height, width)) < random.choice([0.02, 0.5, 0.97])
    blocks = random.random((9, 9)) < 0.5
    yield blocks.repeat(40, 0).repeat(40, 1)


def test_the_bits_of_a_mask_of_one_pixel():
    """4 values; words of 8, sizes 3, 4, 8, 16; a run of 4 (less one: 3) of the value 255."""
    bits = f'{4:032b}' + f'{7:05b}' + '0010001101111111' + '100011' + '1' * 8
    expected = int(bits.ljust(-(-len(bits) // 8) * 8, '0'), 2).to_bytes(-(-len(bits) // 8), 'big')
    assert encode_brush(np.ones((1, 1), bool)) == expected


def test_round_trips_are_exact():
    number = 0
    for mask in masks():
        number += 1
        assert np.array_equal(decode_brush(encode_brush(mask), *mask.shape), mask)
        assert np.array_equal(decode_brush(list(encode_brush(mask)), *mask.shape), mask)
    assert number == 65


def write_literally(mask, *, sizes=(3, 4, 8, 16), length=5):
    """Runs of values that do not repeat, and opacity beside another red, as a browser may write."""
    values = np.zeros((*mask.shape, 4), np.uint8)
    values[..., 0], values[..., 3] = 7, mask * 200
    flat = values.ravel().tolist()
    bits = f'{len(flat):032b}{7:05b}' + ''.join(f'{size - 1:04b}' for size in sizes)
    for start in range(0, len(flat), length):
        run = flat[start : start + length]
        bits += '000' + f'{len(run) - 1:0{sizes[0]}b}' + ''.join(f'{v:08b}' for v in run)
    bits = bits.ljust(-(-len(bits) // 8) * 8, '0')
    return int(bits, 2).to_bytes(len(bits) // 8, 'big')


def test_values_that_do_not_repeat_are_read():
    random = np.random.default_rng(1)
    for sizes in ((3, 4, 8, 16), (5, 1, 2, 9)):
        mask = random.random((6, 9)) < 0.4
        assert np.array_equal(decode_brush(write_literally(mask, sizes=sizes), 6, 9), mask)


def test_damage_is_one_line():
    data = encode_brush(np.eye(9, dtype=bool))
    for broken, text in [
        (data[:-2], 'end too early'),
        (b'', 'end too early'),
        (encode_brush(np.eye(8, dtype=bool)), 'of 256 values, where an image of 9x9'),
        ([300], 'no bytes'),
        (['a'], 'no bytes'),
    ]:
        with pytest.raises(ValueError, match=text):
            decode_brush(broken, 9, 9)


def test_a_run_beyond_the_image_is_refused():
    data = bytearray(encode_brush(np.ones((1, 1), bool)))
    data[3] = 8  # claims two pixels
    with pytest.raises(ValueError, match='end too early'):
        decode_brush(bytes(data), 1, 2)
    long = write_literally(np.ones((1, 4), bool), length=8)
    with pytest.raises(ValueError, match='longer than the image'):
        decode_brush(bytes([0, 0, 0, 12]) + long[4:], 1, 3)


SDK = """
import numpy as np
from label_studio_sdk.converter import brush
result = [
    [np.asarray(brush.decode_rle(ours)).tolist(), brush.mask2rle(np.array(mask, np.uint8) * 255)]
    for ours, mask in value
]
"""


@pytest.mark.slow
@pytest.mark.oracle
def test_the_sdk_reads_and_writes_the_same():
    every = [*masks()]
    asked = [[list(encode_brush(mask)), mask.astype(int).tolist()] for mask in every]
    answers = ask(python_of('labelstudio'), SDK, asked)
    assert len(answers) == 65
    for mask, (values, theirs) in zip(every, answers):
        flat = np.asarray(values).reshape(*mask.shape, 4)
        assert np.array_equal(flat, np.repeat(mask[..., None] * 255, 4, 2))
        assert np.array_equal(decode_brush(theirs, *mask.shape), mask)
