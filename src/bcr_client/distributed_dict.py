"""A dictionary in the store, with the syntax of a dictionary: what clients of zatt know, and each value proved."""

import os
import time
from collections.abc import Iterator, MutableMapping
from datetime import timedelta
from typing import Any, Protocol

from bcr_client.store_client import Store

KEY_VARIABLE = "BCR_OLYMPUS_KEY"


class RefreshPolicy(Protocol):
    """When a DistributedDict reads anew; it is asked before each reading access."""

    def can_update(self) -> bool: ...


class RefreshPolicyAlways:
    """At every access: what is read is what is there. The default."""

    def can_update(self) -> bool:
        return True


class RefreshPolicyLock:
    """While `lock` is set."""

    def __init__(self, status: bool = True) -> None:
        self.lock = status

    def can_update(self) -> bool:
        return self.lock


class RefreshPolicyCount:
    """At every `maximum`-th access."""

    def __init__(self, maximum: int = 10) -> None:
        self.counter = 0
        self.maximum = maximum

    def can_update(self) -> bool:
        self.counter += 1
        if self.counter < self.maximum:
            return False
        self.counter = 0
        return True


class RefreshPolicyTime:
    """Where the last time was longer ago than `delta`."""

    def __init__(self, delta: timedelta = timedelta(minutes=1)) -> None:
        self.delta = delta
        self._refreshed_s: float | None = None

    def can_update(self) -> bool:
        now_s = time.monotonic()
        if self._refreshed_s is not None and now_s - self._refreshed_s <= self.delta.total_seconds():
            return False
        self._refreshed_s = now_s
        return True


class DistributedDict(MutableMapping[str, Any]):
    """The whole store as a dictionary: keys are strings, values any JSON.

        d = DistributedDict("127.0.0.1", 8080, olympus_key="18d9…")
        d["spam"] = "eggs"

    A key that is missing gives None. A write is there when the statement is done, and is seen by this dictionary at once; what
    others have written it sees when it reads anew, which `refresh_policy` decides. Errors are those of `Store`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        refresh_policy: RefreshPolicy | None = None,
        *,
        olympus_key: bytes | str | None = None,
        tls: bool = False,
        **options: Any,
    ) -> None:
        """`host` and `port` are those of a gateway; without `olympus_key` that of BCR_OLYMPUS_KEY in the environment counts.

        With `tls` it speaks https, and without `ca_file` the certificates of the system count; with `ca_file` it does so anyway.
        `options` are those of `Store`: token, ca_file, timeout_s, attempts. Raises ValueError.
        """
        key = olympus_key or os.environ.get(KEY_VARIABLE)
        if not key:
            raise ValueError(f"Olympus's public key is needed to check answers: olympus_key=…, or {KEY_VARIABLE} in the environment")
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.store = Store(f"{'https' if tls or options.get('ca_file') else 'http'}://{place}", key, **options)
        self.refresh_policy = refresh_policy or RefreshPolicyAlways()
        self._data: dict[str, Any] = {}
        try:
            self.refresh(force=True)
        except BaseException:
            self.close()
            raise

    def refresh(self, force: bool = False) -> None:
        """Read everything anew, if the policy says so or it is forced."""
        if force or self.refresh_policy.can_update():
            self._data = {key: read.value for key, read in self.store.items().items()}

    def __getitem__(self, key: str) -> Any:
        self.refresh()
        return self._data.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.store.put(key, value)
        self._data[key] = value

    def __delitem__(self, key: str) -> None:
        was_there = self.store.delete(key)
        self._data.pop(key, None)
        if not was_there:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        self.refresh()
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        self.refresh()
        return iter(tuple(self._data))

    def __len__(self) -> int:
        self.refresh()
        return len(self._data)

    def __repr__(self) -> str:
        self.refresh()
        return f"DistributedDict({self._data!r})"

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` where there is none."""
        self.refresh()
        return self._data.get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value; where there is none, `default`, which is written then."""
        if key not in self:
            self[key] = default
        return self._data[key]

    def pop(self, key: str, *default: Any) -> Any:
        """The value, which is removed; where there is none `default`, or KeyError without one."""
        self.refresh(force=True)
        if key not in self._data:
            if default:
                return default[0]
            raise KeyError(key)
        value = self._data[key]
        del self[key]
        return value

    def close(self) -> None:
        """Close the connection."""
        self.store.close()
