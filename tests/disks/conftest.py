"""What tests of disks share: a disk that a test leaves open ends with it."""

import pytest

from bcr_disk.sqlite import SqliteDisk


@pytest.fixture(autouse=True)
def _closed(monkeypatch):
    opened, stock = [], SqliteDisk.__init__

    def opening(disk, *arguments):
        stock(disk, *arguments)
        opened.append(disk)

    monkeypatch.setattr(SqliteDisk, "__init__", opening)
    yield
    for disk in opened:
        disk._connection.close()  # which may be done twice, unlike the whole of it
