"""The addresses that a user gives to a node, `-H HOST` and `-R HOST[:PORT]`: IPv4, or names that have such an address."""

import functools
import socket
from typing import Any

from dacurrent.stock import Stock


def cure_common(module: Stock) -> None:
    """Let `da.common` refuse an address that cannot be used with a word that says why, before anything starts."""
    stock = module.initialize_runtime_options

    @functools.wraps(stock)
    def initialize_runtime_options(options: Any = None) -> None:
        given = options or {}
        why = _why_no_host("-H", given.get("hostname")) or _why_no_peer(given.get("peer"))
        if why:
            raise module.ConfigurationError(why)
        stock(options)

    module.initialize_runtime_options = initialize_runtime_options


def _why_no_peer(given: str | None) -> str | None:
    if not given:
        return None
    host, colon, port = given.partition(":")
    if not _is_ipv6(given) and colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        return f"-R {given}: {port or 'nothing'} is not a port from 1 to 65535"
    return _why_no_host("-R", given if _is_ipv6(given) else host)


def _why_no_host(option: str, given: str | None) -> str | None:
    if not given:
        return None
    text = f"{option} {given}: there is no IPv6 here; give an IPv4 address, or a name that has one"
    if _is_ipv6(given):
        return text
    try:
        socket.gethostbyname(given)
    except (OSError, UnicodeError) as error:
        return text if _has_ipv6(given) else f"{option} {given}: no host of this name ({error})"
    return None


def _is_ipv6(given: str) -> bool:
    bare = given[1:].partition("]")[0] if given.startswith("[") else given
    try:
        socket.inet_pton(socket.AF_INET6, bare.partition("%")[0])
        return True
    except OSError:
        return False


def _has_ipv6(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None, socket.AF_INET6))
    except (OSError, UnicodeError):
        return False
