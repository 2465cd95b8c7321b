"""The trade-off of data against compute: runs, laws, fits with intervals, and what they decide.

Plain Python and numpy; scipy and matplotlib come with the extra `study` and are imported when used.
"""
