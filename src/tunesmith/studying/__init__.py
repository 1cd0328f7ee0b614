"""Studies of training parameters: every combination of some values, each with several seeds, and what each parameter does.

settings.py    how to study
run.py         from a config with values to what was found; trials are run by the workers of ``search``
found.py       effects with intervals over seeds, interactions, and what may be said of them
show.py        the same in the terminal, as JSON and as a page
"""
