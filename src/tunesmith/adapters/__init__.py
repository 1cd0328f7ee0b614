"""Which weights of the base model train; a file here is an adapter."""
