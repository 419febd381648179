"""The cookie by which processes know each other: given by `--cookie`, or shared by all nodes of one user on one host.

Stock nodes without a cookie take messages from anybody.  Here a node with a name always has one: where neither
`--cookie` nor `~/.da.cookie` is given, that file is made.  For several hosts the user gives `--cookie`, or copies the
file; the environment's variable DA_COOKIE_FILE names another one, which has to be there.  (A node without a name has
DistAlgo's own random key, which only its child processes inherit.)
"""

import functools
import logging
import os
import secrets
import stat
from typing import Any

from dacurrent.stock import Stock

LIMIT_BYTES = 80  # as much as DistAlgo reads of the file
FILE_VARIABLE = "DA_COOKIE_FILE"

log = logging.getLogger(__name__)


class CookieError(RuntimeError):
    """There is no cookie that could be used; the text says why and what to do."""


def read_or_make(path: str) -> bytes:
    """The cookie in the file `path` as bytes; a file that is not there is made, readable by its owner alone."""
    if not os.path.exists(path):
        _make(path)
    return read(path)


def read(path: str) -> bytes:
    """The cookie in the file `path` as bytes. Raises CookieError, also where there is no such file."""
    try:
        return _read(path)
    except OSError as error:
        raise CookieError(f"cannot read the cookie: {error}; give --cookie, or make the file readable") from error


def _make(path: str) -> None:
    draft = f"{path}.{os.getpid()}.{secrets.token_hex(8)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        # Of several nodes that start at once one makes the file, complete, and the others read it.
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise CookieError(f"cannot make the cookie file: {error}; give --cookie") from error
    finally:
        if os.path.exists(draft):
            os.unlink(draft)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        cookie = file.read(LIMIT_BYTES)
    if not cookie:
        raise CookieError(f"{path} is empty; delete it, or give --cookie")
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        log.warning("Others than you can use the cookie in %s: chmod 600 it, or delete it and start anew.", path)
    return cookie


def cure_api(module: Stock) -> None:
    """Patch `da.api._load_cookie`."""
    stock = module._load_cookie

    @functools.wraps(stock)
    def _load_cookie() -> Any:
        given = module.get_runtime_option("cookie")
        if given is not None:
            if not given:
                module.die("--cookie: must not be empty")
            log.warning("Everybody on this host can read --cookie in the list of processes; the file ~/.da.cookie will do.")
            return given
        try:
            named = os.environ.get(FILE_VARIABLE)
            return read(named) if named else read_or_make(os.path.expanduser("~/.da.cookie"))
        except CookieError as error:
            module.die(str(error))

    module._load_cookie = _load_cookie
