"""Which connections an instance needs: what a network team opens in its firewalls. Pure."""
