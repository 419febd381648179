"""Questions that need runs of their own: where the time goes, what many callers, disks and a reconfiguration cost."""
