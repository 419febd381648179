"""No log record for what no handler prints, none that fails, and a default message size that fits what programs send."""

import logging
import sys
from typing import Any

from dacurrent.stock import Stock
from dacurrent.unread import let_log_go_on

DEFAULT_MESSAGE_BUFFER_SIZE = 4 << 20
_STOCK_MESSAGE_BUFFER_SIZE = 4 * 1024
ENDED_LOGS = ("da.sim.Router.ended", "da.transport.ended")  # what is not sent, or lost, because its receiver has ended


def cure_common(common: Stock) -> None:
    """Patch `da.common`."""
    stock_setup, stock_initialize = common.setup_logging_for_module, common.initialize_runtime_options

    def setup_logging_for_module(modulename: str, *formats: Any, **rest: Any) -> None:
        stock_setup(modulename, *formats, **rest)
        logger = logging.getLogger(modulename)
        for handler in logger.handlers:
            let_log_go_on(handler)
        levels = [handler.level for handler in logger.handlers if not isinstance(handler, logging.NullHandler)]
        if levels:
            # One below: `output` compares with the level itself, and prints only what is above it.
            logger.setLevel(max(1, min(levels) - 1))

    def initialize_runtime_options(options: Any = None) -> None:
        options = dict(options or {})
        # The options do not tell DistAlgo's default from the same number given; `--me` is the shortest form of it.
        is_given = any(argument.startswith("--me") for argument in sys.argv[1:])
        if options.get("message_buffer_size", _STOCK_MESSAGE_BUFFER_SIZE) == _STOCK_MESSAGE_BUFFER_SIZE and not is_given:
            options["message_buffer_size"] = DEFAULT_MESSAGE_BUFFER_SIZE
        stock_initialize(options)

    common.setup_logging_for_module = setup_logging_for_module
    common.initialize_runtime_options = initialize_runtime_options
