"""``python -m tunesmith`` and the ``tunesmith`` script."""

from tunesmith.cli import entry

if __name__ == "__main__":
    entry()
