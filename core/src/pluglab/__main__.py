"""`python -m pluglab`: the same as `lab`."""

from pluglab.cli import main

if __name__ == "__main__":
    main()
