"""The import of `.da` files, in place of `da.importer`; only the public parts of `importlib` are used."""

import os
import sys
import zlib
from importlib import machinery, util
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from da import common

__all__ = ["da_cache_from_source"]

DISTALGO_SUFFIXES = [".da"]


def layer_tag() -> str:
    """A tag that changes whenever a module of this layer changes, so that no stale bytecode is ever taken."""
    checksum = 0
    for source in sorted(Path(__file__).parent.glob("*.py")):
        checksum = zlib.crc32(source.read_bytes(), checksum)
    return f"{checksum:08x}"


_TAG = f"da-{common.__version__}-{layer_tag()}"


def da_cache_from_source(source_path: str, optimization: Any = None) -> str:
    """The path of the bytecode file of the `.da` file `source_path`.

    Python's own name for it (which holds the Python version), with DistAlgo's version and a tag of this layer.
    """
    return _tagged(util.cache_from_source(source_path, optimization=optimization))


def _tagged(bytecode_path: str) -> str:
    stem, suffix = os.path.splitext(bytecode_path)
    return f"{stem}.{_TAG}{suffix}"


def _is_bytecode(path: str) -> bool:
    return path.endswith(tuple(machinery.BYTECODE_SUFFIXES))


class DistAlgoLoader(machinery.SourceFileLoader):
    """Loads a `.da` file: Python's own source loader, with DistAlgo's compiler and bytecode files of our own name."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        common.add_da_module(module)

    # typeshed has this with another signature for each version.
    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        from da import compiler

        # None are set as long as DistAlgo is only imported, not started.
        arguments = common.get_runtime_option("compiler_args", default=[]) or compiler.ui.parse_compiler_args([])
        code = compiler.dastr_to_pycode(data, path, _optimize=_optimize, args=arguments)
        if code is None:
            raise ImportError(f"Unable to compile {path}.", name=self.name, path=path)
        return code

    def get_data(self, path: str) -> bytes:
        if _is_bytecode(path):
            if common.get_runtime_option("recompile", default=False):
                raise FileNotFoundError(f"{path}: not read, because --recompile was given")
            path = _tagged(path)
        return super().get_data(path)

    def set_data(self, path: str, data: Any, **options: Any) -> None:
        super().set_data(_tagged(path) if _is_bytecode(path) else path, data, **options)


def install() -> None:
    """Let `import` find `.da` files, and prefer them to `.py` files of the same name."""
    loaders = [
        (DistAlgoLoader, DISTALGO_SUFFIXES),
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
        (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    ]
    # Behind the hook for zip files, in front of Python's own for folders.
    sys.path_hooks.insert(1, machinery.FileFinder.path_hook(*loaders))
    # Finders made before know nothing of `.da`.
    sys.path_importer_cache.clear()


install()
