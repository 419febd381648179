"""Cures of `da.common` that concern the start of a node and its child processes."""

import functools
import multiprocessing
import sys
import warnings
from typing import Any

from dacurrent.stock import Stock


def cure_common(module: Stock) -> None:
    # `da.common` makes every DeprecationWarning visible.  A node forks while its router thread runs, by design;
    # Python 3.12 warns of each such fork.
    warnings.filterwarnings("ignore", message=r".*multi-threaded.*fork\(\)", category=DeprecationWarning)
    _prefer_fork(module)
    _spawn_with_interpreter_flags(module)


def _prefer_fork(module: Stock) -> None:
    """DistAlgo's default start method is `fork`; Python's own default is another one from 3.14 on."""
    stock = module.initialize_runtime_options

    @functools.wraps(stock)
    def initialize_runtime_options(options: Any = None) -> None:
        options = dict(options or {})
        if options.get("start_method") is None and sys.platform != "win32":
            options["start_method"] = multiprocessing.get_start_method(allow_none=True) or "fork"
        stock(options)

    module.initialize_runtime_options = initialize_runtime_options


def _spawn_with_interpreter_flags(module: Stock) -> None:
    """`--start-method spawn` asked that `-c` be the first word after the interpreter, where its flags stand."""
    stock = module._install

    @functools.wraps(stock)
    def install() -> None:
        from multiprocessing import spawn

        command_line = spawn.get_command_line
        stock()

        def get_command_line(**handles: Any) -> list[str]:
            command = command_line(**handles)
            program = command.index("-c") + 1
            command[program] = "import da; " + command[program]
            return command

        spawn.get_command_line = get_command_line

    module._install = install
