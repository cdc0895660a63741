"""`python -m infra.emulator serve --folder FOLDER`: the server itself; `daemon` starts it."""

from infra.emulator.server import main

main()
