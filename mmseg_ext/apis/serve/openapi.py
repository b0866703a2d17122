"""The description of the JSON endpoint, OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1)."""

from typing import Any

from ...version import __version__
from .limits import Limits
from .problems import STATUSES

_TEXT = dict(type='string')
_COUNT = dict(type='integer', minimum=0)
_OPTIONAL = ('pixel_area', 'labels', 'confidence', 'picture')


def _object(properties: dict, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    needed = [name for name in properties if name not in optional]
    return dict(type='object', required=needed, properties=properties, additionalProperties=False)


def _list(items: dict, **rules: Any) -> dict[str, Any]:
    return dict(type='array', items=items, **rules)


def _named(name: str) -> dict[str, str]:
    return {'$ref': f'#/components/schemas/{name}'}


_COLOR = _list(dict(type='integer', minimum=0, maximum=255), minItems=3, maxItems=3)
_FILE = _object(dict(type=_TEXT, base64=_TEXT))
_ARRAY = dict(
    _object(
        dict(dtype=dict(type='string', enum=['uint8', 'uint16', 'float16']), gzip_base64=_TEXT)
    ),
    description='An array of height times width, rows from the top, little-endian, compressed.',
)
_PREDICTION = _object(
    dict(
        width=_COUNT,
        height=_COUNT,
        classes=_list(_TEXT),
        palette=dict(_list(_COLOR), description='RGB color of each class.'),
        mask=dict(
            _FILE,
            description='The file that tools/predict.py writes: class indices as PNG with a '
            'palette, of a GeoTIFF as GeoTIFF.',
        ),
        pixels=dict(_list(_COUNT), description='Pixels of each class.'),
        pixel_area=dict(type='number', description='Square metres, where a GeoTIFF says it.'),
        labels=dict(_named('Array'), description='With details: class of each pixel.'),
        confidence=dict(
            anyOf=[_named('Array'), dict(type='null')],
            description='With details: probability of the class of each pixel; null if the image '
            'is too large for it.',
        ),
        picture=dict(_FILE, description='With details: the image as read, turned upright, JPEG.'),
        seconds=dict(type='number', minimum=0),
    ),
    _OPTIONAL,
)
_PROBLEM = _object(
    dict(error=_object(dict(status=dict(type='integer'), reason=_TEXT, message=_TEXT)))
)


def describe_api(name: str, limits: Limits) -> dict[str, Any]:
    """Describe the endpoint of a model.

    Args:
        name: Of the model.
        limits: Told in the description.
    """
    pixels = int(limits.megapixels * 1e6)
    taken = (
        f'An image file of at most {limits.max_bytes} bytes and {pixels} pixels, turned by its '
        'EXIF orientation. It is the body as it is, not a form.'
    )
    schemas = dict(Prediction=_PREDICTION, Array=_ARRAY, Problem=_PROBLEM)
    return dict(
        openapi='3.1.0',
        info=dict(title=name, version=__version__, description='Semantic segmentation of images.'),
        paths={'/predict': dict(post=_operation(taken))},
        components=dict(schemas=schemas),
    )


def _operation(taken: str) -> dict[str, Any]:
    details = dict(
        name='details',
        description='Whether labels, confidence and picture are wanted, too.',
        required=False,
        schema=dict(type='string', enum=['0', '1'], default='0'),
    )
    details['in'] = 'query'
    body: dict[str, dict] = {kind: {} for kind in ('application/octet-stream', 'image/*')}
    answers = {'200': _answer('The prediction.', 'Prediction')}
    answers.update({str(code): _answer(text, 'Problem') for code, text in STATUSES.items()})
    return dict(
        operationId='predict',
        summary='Predict the class of each pixel of an image.',
        parameters=[details],
        requestBody=dict(required=True, description=taken, content=body),
        responses=answers,
    )


def _answer(text: str, schema: str) -> dict[str, Any]:
    content = {'application/json': dict(schema=_named(schema))}
    return dict(description=text, content=content)
