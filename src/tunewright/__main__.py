"""``python -m tunewright``: the command line where no script was installed."""

from tunewright.cli import main

if __name__ == "__main__":
    main()
