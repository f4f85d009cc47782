"""``python -m gitkitchen``."""

from gitkitchen.cli.main import entry

if __name__ == "__main__":
    entry()
