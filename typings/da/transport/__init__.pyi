from da.transport import base as base, manager as manager, sock as sock
