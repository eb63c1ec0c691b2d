"""`python -m biasectomy`."""

from biasectomy.cli.app import main

if __name__ == "__main__":
    main()
