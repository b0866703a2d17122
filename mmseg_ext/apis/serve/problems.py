"""What a request is answered if it cannot be: one status and one line each."""

from http import HTTPStatus
from typing import Any

# What each status means here; the OpenAPI description lists the same ones.
STATUSES = {
    400: 'The request is not valid HTTP, or its body is empty or shorter than it says.',
    403: 'The request comes from the page of another site.',
    404: 'There is nothing at this address.',
    405: 'The address takes other methods, which the header Allow names.',
    408: 'The request did not arrive in time.',
    411: 'The request does not say the length of its body.',
    413: 'The image has too many bytes or pixels.',
    415: 'The body is no image, or it is a form.',
    421: 'The request asks for another host than this one.',
    422: 'The image cannot be predicted: damaged, of several pages, of other channels.',
    500: 'A fault of the program; its terminal shows more.',
    503: 'Too many requests wait. The header Retry-After says in how many seconds to try again.',
}


class RequestError(Exception):
    """A request that is refused.

    Args:
        status: The status of HTTP.
        message: What is wrong and what would be right, in one line.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = ' '.join(message.split())
        self.headers = {name.replace('_', '-'): value for name, value in headers.items()}

    def content(self) -> dict[str, Any]:
        """Return the body of the answer."""
        reason = HTTPStatus(self.status).phrase
        return dict(error=dict(status=self.status, reason=reason, message=self.message))
