"""What a change does to measured values, with what chance alone would do: intervals, tests, shares, fronts.

Rows are the units that were drawn; settings are compared on the same rows, so every difference is paired.
"""
