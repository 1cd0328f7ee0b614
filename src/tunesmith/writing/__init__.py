"""What the tasks that write have in common."""
