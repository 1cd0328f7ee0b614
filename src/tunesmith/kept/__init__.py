"""What was answered, kept: the log of predictions with what people said of them, drift since training, rows to label anew.

texts.py       what an input says, as words and as a length
forms.py       what an answer says, by the kind of its task's target, and the row of training that it makes
origin.py      the bundle that an answer came from, as far as its answers cannot be read without it
training.py    what a bundle remembers of its training rows (training.json)
tables.py      the tables of a log
prediction.py  a prediction as a log keeps it
database.py    where a log lies
store.py       a log: written, read, thinned out
recorder.py    the thread that writes while a server answers
feedback.py    what people said of an answer, checked
statistics.py  tests of whether two samples differ
drift.py       a log beside what a bundle remembers
weeks.py       a log, week by week
report.py      both together
show.py        the report in the terminal
relabel.py     a log as rows to be labelled and learned from
"""
