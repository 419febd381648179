"""The log of one process: a file of lines in which every value carries its name."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from bcr.describing import contents, identify
from bcr_runtime import ambient

LEVELS: Mapping[str, int] = {"quiet": logging.WARNING, "human": logging.INFO, "debug": logging.DEBUG}


class Journal:
    """A process's log.

    `step` is for what happened, with the values that identify it; `detail` for full contents, which only the level
    `debug` writes; `warn` for what somebody should look at, which every level writes.
    """

    def __init__(self, path: Path, level: str) -> None:
        """Opens, and if need be makes, the file; `level` is a key of LEVELS. Raises OSError where that cannot be."""
        self.path = path
        self._file = ambient.open_log(path)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._file),
            processors=[_stamp, structlog.processors.LogfmtRenderer(key_order=["time", "event"])],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        )
        self.is_detailed = level == "debug"

    def step(self, event: str, **values: Any) -> None:
        self._log.info(event, **values)

    def detail(self, event: str, **values: Any) -> None:
        self._log.debug(event, **values)

    def warn(self, event: str, **values: Any) -> None:
        self._log.warning(event, **values)

    def sent(self, message_name: str, receiver: str, message: Any) -> None:
        """A message of the protocol left for `receiver`."""
        self._log.info("sent", message=message_name, to=receiver, **identify(message))
        if self.is_detailed:
            self._log.debug("contents", message=message_name, contents=contents(message))

    def received(self, message_name: str, message: Any) -> None:
        """A message of the protocol arrived and could be decoded; whom it is from only its signatures can say."""
        self._log.info("received", message=message_name, **identify(message))
        if self.is_detailed:
            self._log.debug("contents", message=message_name, contents=contents(message))

    def close(self) -> None:
        self._file.close()


def _stamp(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    event["time"] = ambient.wall_clock().isoformat(timespec="microseconds")
    return event
