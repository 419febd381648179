"""DistAlgo's own modules, as the functions that `hook` calls get them: to have names replaced, which no type allows.

What of DistAlgo is only called has its types in `typings/da`.
"""

from typing import Any

Stock = Any  # a module of DistAlgo that is being cured
