"""What llama.cpp wants to know of a model, in its file format GGUF, and the program itself to check what was written.

weights.py     tensors and sizes by its names
vocabulary.py  the tokenizer in its terms
modelfile.py   what Ollama wants to know beside the file
running.py     the program, as an engine that answers enough to be compared
"""
