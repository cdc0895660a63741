"""Several KVM hosts on one machine, each a network namespace with libvirtd and sshd of its own."""
