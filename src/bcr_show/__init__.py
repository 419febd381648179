"""Shows a run that has ended: its story in sentences, and a page with a space-time diagram, charts, tables and evidence.

Reads what a run left in its folder, and nothing else; all of that is text of strangers.
"""
