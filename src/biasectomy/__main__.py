"""`python -m biasectomy`."""

from biasectomy.cli import main

if __name__ == "__main__":
    main()
