"""Stands in for RunSystem.da: a program with a child, and one that left its group; none ends by itself.

    family.py NOTES [deaf]      deaf: nobody of them heeds SIGINT, SIGTERM or SIGHUP

Each writes its process number to NOTES, a named pipe, and then waits for ever.
"""

import os
import signal
import sys

if sys.argv[2:] == ["deaf"]:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
for leaves in (False, True):
    if os.fork() == 0:
        if leaves:
            os.setsid()
        break
with open(sys.argv[1], "w") as notes:
    notes.write(f"{os.getpid()}\n")
while True:
    signal.pause()
