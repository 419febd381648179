from types import CodeType
from typing import Any

from da.compiler import ui as ui

def dastr_to_pycode(src: Any, filename: str = ..., args: Any = None, _optimize: int = -1) -> CodeType | None: ...
