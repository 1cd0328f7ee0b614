"""What a model learns; a file here is a task."""
