"""Text generation with every parameter set per request: decoders and encoder-decoders, greedy, sampled and beams.

request.py      what a caller may ask for, with legal ranges; what does not go together
facts.py        what must be known of a model that writes, whatever runs it
honours.py      what an engine honours of a request, and the refusal of what it does not
decode.py       the life of a request: submit, step, cancel; generate() on top
reading.py      prompts on their way into the batch: read together, in pieces, from where they are known
batch.py        the rows that go on together
job.py          a request and what has become of it
choosing.py     how one request's rows go on from logits to tokens: choices of their own, or beams
sampler.py      the table of samplers in their order, and the draw of a token
processors.py   each sampler's formula
grammar.py      answers that keep to a JSON schema, a regular expression, a choice or a grammar
text.py         tokens to text piece by piece, and stop strings
network.py      one forward pass for all rows over a transformers model
cache.py        keys and values of rows that come and go
store.py        what was read and need not be read again
lora.py         low-rank updates out of a PEFT folder; updates.py: several of them in one pass
counts.py       how a scheduler is doing, in numbers
"""
