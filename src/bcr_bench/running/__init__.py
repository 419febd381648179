"""From a plan to figures: a point at a time, in turn."""
