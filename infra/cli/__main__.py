"""`python -m infra.cli`, as systemd starts what stands in for Azure."""

from infra.cli.main import app

app()
