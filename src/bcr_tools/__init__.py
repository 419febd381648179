import resource
import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the command line loads there is nothing to end in order, nor to say

LEAST_BYTES = 48 << 20  # of address space, without which the command line cannot even be loaded

if 0 <= resource.getrlimit(resource.RLIMIT_AS)[0] < LEAST_BYTES:
    print(f"bcr: needs {LEAST_BYTES >> 20} MiB of address space: raise it with ulimit -v {LEAST_BYTES >> 10}", file=sys.stderr)
    sys.exit(2)
