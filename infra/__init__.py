"""azlocal: an Azure Local instance and its AKS clusters on plain KVM machines."""
