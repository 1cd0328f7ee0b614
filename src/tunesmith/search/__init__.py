"""Search for better training parameters: many short runs on the same rows, and an honest comparison at the end."""
