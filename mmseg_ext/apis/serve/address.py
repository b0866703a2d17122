"""Where the server listens: on this machine only, unless others are let in."""

import errno
import ipaddress
from dataclasses import dataclass


def is_loopback(host: str) -> bool:
    """Whether a name or an address is always this machine."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Address:
    """Where to listen.

    Args:
        host: Name or address; a local one, unless ``public``.
        port: 0 takes a free one.
        public: Whether other machines may ask, too.

    Raises:
        ValueError: If the host is not local, and others are not let in.
    """

    host: str = '127.0.0.1'
    port: int = 8000
    public: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f'--port must be a number from 0 to 65535, got {self.port}')
        if not (self.public or is_loopback(self.host)):
            raise ValueError(
                f'--host {self.host} lets other machines in, without a password: add --public if '
                'that is meant'
            )

    def explain(self, error: OSError) -> OSError:
        """Say why the address cannot be taken, and what to do."""
        where = f'port {self.port} of {self.host}'
        if error.errno == errno.EADDRINUSE:
            return OSError(
                f'{where} is in use: give another with --port, or --port 0 for a free one'
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return OSError(f'{where} may not be taken: ports from 1024 on need no rights')
        reason = error.strerror
        return OSError(f'{self.host} is no address of this machine ({reason}): see --host')
