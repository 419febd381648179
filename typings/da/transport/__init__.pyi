from da.transport import base as base
from da.transport import manager as manager
from da.transport import sock as sock
