"""How much an object may grow by (specification, 8.3)."""


class Room:
    """Bytes of keys and values as encoded; what the object loses it may grow by again."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def takes(self, growth: int) -> bool:
        """Whether the object may grow by so much, or shrink where that is below 0; it counts as grown then."""
        if growth > 0 and growth > self.left:
            return False
        self.left -= growth
        return True
