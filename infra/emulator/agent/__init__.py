"""The programs of the emulated Arc agents: one package, a role each; they run in the cluster, apart from infra.

The chart brings this folder as a ConfigMap, and `python3 -m agent ROLE` runs in an image that has Debian's Python
3.11, cryptography and helm, and nothing else. So the modules import each other relatively, and nothing of infra.
"""
