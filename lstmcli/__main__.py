"""``python -m lstmcli``."""

from lstmcli.cli.app import main

main()
