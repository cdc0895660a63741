"""What an instance has left behind, asked of libvirt, kernel and files: empty when it is gone."""
