"""Where the processes of one host find its key and certificate, by which links with other hosts are TLS; how that works is the layer's business."""

from dacurrent.handshake import TLS_FOLDER_VARIABLE
from dacurrent.tls import AUTHORITY, CERTIFICATE, KEY

TLS_VARIABLE = TLS_FOLDER_VARIABLE
"""The environment's variable that names the folder, of files with these names."""

__all__ = ["AUTHORITY", "CERTIFICATE", "KEY", "TLS_VARIABLE"]
