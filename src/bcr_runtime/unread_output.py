"""What is said where nobody reads on goes nowhere, and whoever says it goes on; how that works is the layer's business."""

from dacurrent.unread import Unread, abandon

__all__ = ["Unread", "abandon"]
