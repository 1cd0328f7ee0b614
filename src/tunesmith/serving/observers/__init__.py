"""Who hears of each request that is over: a file each, whose ``observer(serving)`` gives one, or None where it is not wanted."""
