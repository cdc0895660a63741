"""What is learned of hosts: each fact is a command that changes nothing, and a parser of what it prints. Pure.

Doctor and preparation ask for the same facts; each decides what a command that fails means to it. Recorded outputs
in tests/hosts/facts are the parsers' test cases.
"""

from infra.hosts.facts.fact import Fact

__all__ = ["Fact"]
