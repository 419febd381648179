import threading
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

__version__: str
GlobalOptions: dict[str, Any] | None
modules: dict[str, ModuleType]

class _ProcessId(NamedTuple):
    uid: int
    seqno: int
    pcls: type[Any]
    name: str
    nodename: str
    hostname: str
    transports: tuple[int | None, ...]

class ProcessId(_ProcessId):
    _lock: ClassVar[threading.Lock]
    _named: ClassVar[dict[tuple[str, str], ProcessId]]
    _callbacks: ClassVar[dict[tuple[str, str], list[Callable[[ProcessId], object]]]]
    _create: ClassVar[Any]  # a class method, which `dacurrent.origins` replaces
    @staticmethod
    def lookup(name: tuple[str, str]) -> ProcessId | None: ...
    @staticmethod
    def all_named_ids() -> list[ProcessId]: ...
    @staticmethod
    def gen_uid(hostname: str, pid: int | None) -> int: ...

class QueueEmpty(Exception): ...

class WaitableQueue:
    def __init__(self, iterable: Iterable[Any] = (), maxlen: int | None = None, trace_files: Any = None) -> None: ...
    def append(self, item: Any) -> None: ...
    def pop(self, block: bool = True, timeout: float | None = None) -> Any: ...
    def close(self) -> None: ...
    def __len__(self) -> int: ...

def get_runtime_option(key: str, default: Any = None) -> Any: ...
def pid_of_node() -> ProcessId: ...
def add_da_module(module: ModuleType) -> None: ...

def initialize_runtime_options(configs: object = ...) -> None: ...
