"""What a process must find again on its disk before it speaks on: records, and how they are read back after a crash."""
