"""A cluster's etcd is restored from a snapshot: by wish, or where it has lost its quorum.

As etcd's "Disaster recovery" has it, and kubespray (`roles/recover_control_plane/etcd/tasks/
recover_lost_quorum.yml`) and Talos (`internal/integration/api/etcd-recover.go`) do: everything that has the data
open ends, one control plane becomes a cluster of one member with the snapshot's data, and the others that stand
come to it as new members. No member of before comes back: its data is set aside where it stands.
"""
