"""The layer by which the stock pyDistAlgo 1.1.0 runs on a current Python.

pyDistAlgo as published takes Python 3.6 and 3.7 only.  Nothing of it is copied or edited here: `hook` notices that
`da` is being imported and cures its modules from outside.  This module stays empty because every Python that
starts in the environment imports it.
"""
