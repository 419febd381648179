"""What DistAlgo's language lacks of Python's: found in the source's tree and refused, never mistranslated."""


def refusals(tree):
    """Every construct in `tree` that DistAlgo would mistranslate, as (node, message), in source order."""
    return []
