"""What is to be measured, and what was: plans in YAML, what a run of a point measured, two runs of a plan compared."""
