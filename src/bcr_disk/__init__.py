"""Disks of the machine: files in which a process finds again what it must not forget."""
