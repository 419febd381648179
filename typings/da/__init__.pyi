"""The parts of pyDistAlgo 1.1.0 that this project touches, with their types: it has none itself.

What DistAlgo gives to and takes from a program - messages, arguments, results - is `Any` by its nature.  The attributes
that begin with `_` are not for others; `dacurrent` patches or reads them, and this is where it says which.
"""

from da import common as common
from da import importer as importer
from da import pattern as pattern
from da import sim as sim
from da import transport as transport
