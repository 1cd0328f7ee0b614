"""The HTTP server: bundles behind addresses that people can put in front of users.

options.py      what an operator may set, with legal ranges
server.py       the process: it listens, loads, is told to stop, drains
app.py          every request's way: who asks, may it come in, what does it say, what is answered, who hears of it
endpoint.py     what a route is; the files in ``routes/`` hold them
call.py         one HTTP request on that way
gate.py         what may come in: rates, how many wait, how large a body is; decided before anything is tokenised
body.py         strict JSON: what is no object, too deep or not a number is refused
asking.py       from a route to the thread that answers, and back
asked.py        something that is asked of a model, and what is told of it
queueing.py     what waits for a thread: by priority, and in turns between keys
worker.py       a thread that answers, and is made anew where it dies; readers.py and writers.py are its two kinds
joined.py       a writer that adapters of one base model join and leave
wanted.py       which bundles an operator wants served: NAME=FOLDER@ENGINE
pieces.py       large requests in pieces, so that small ones need not wait for them
models.py       the models that are served, by name
live.py         models change while it runs: loaded, unloaded, swapped; allowed.py says which bundles may be loaded
trials.py       a second version beside the present one; differences.py compares their answers
checking.py     a body becomes request parameters, with presets and with what may be dropped
replies.py      answers as they are sent
wire.py         what OpenAI's routes share; written.py, chunks.py and spelling.py: their choices, streams and log-probabilities
messages.py     OpenAI's messages become plain ones; tools.py and calls.py: tools that a model is told of, and its calls
refusal.py      errors in the form that OpenAI's clients read
keys.py         who there is, and what they may do
state.py        what a running server has
keeping.py      the log of predictions: what is answered goes there, and routes ask it
record.py       what is known of a request once it is over, for those who count, trace and log
"""
