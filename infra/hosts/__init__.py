"""Hosts, whoever needs something of them."""
