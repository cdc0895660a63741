"""`azlocal arc move`: a connected cluster into another Azure region, with everything on it.

Azure moves nothing: the connection is deleted and created again (arc_facts.md §6). What the stack declares, the
engine makes again; what somebody made beside it is saved before and made again by us.
"""
