"""From files to batches: read, map columns, store, divide, check, batch."""
