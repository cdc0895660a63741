"""What a change of the files does to each machine and cluster, from the contracts that `up` goes by."""
