"""What a request parameter is, and what it does to a model: exactly, where that can be computed.

declared.py      all that is declared of a parameter, in one place
interactions.py  what goes with what, found by asking the request's own checks
elsewhere.py     what other programs call it and default it to, and where they mean something else
values.py        which of its values are looked at
opening.py       the model and the inputs that it is looked at on
paths.py         answers, token by token, with the model's logits at each place
exact.py         what the samplers make of these logits, without drawing
curves.py        the effect of each value on all places together
nbest.py         parameters that have no exact curve: answers side by side
rereading.py     parameters of tasks that read: outputs computed once, decided anew for each value
gists.py         what answers say, to be counted
telling.py       what was found, in sentences
pictures.py      drawn; terminal.py: printed
"""
