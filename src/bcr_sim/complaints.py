"""What DistAlgo and the layer below it complain about in a process of a simulated run."""

import logging
from pathlib import Path


class Complaints(logging.Handler):
    """Collects what the layer below says went wrong in a process."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        trace = self.formatter.formatException(record.exc_info) if record.exc_info and self.formatter else ""
        if not trace and record.exc_info and record.exc_info[2] is not None:
            last = record.exc_info[2]
            while last.tb_next is not None:
                last = last.tb_next
            trace = f" at {Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"
        self._complaints.append(record.getMessage() + trace)
