"""`python -m dip_repro` is `dip-repro`."""

from dip_repro.cli import main

main()
