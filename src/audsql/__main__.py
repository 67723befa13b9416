"""`python -m audsql` is `audsql`."""

from audsql.cli import main

if __name__ == "__main__":
    main()
