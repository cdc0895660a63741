"""`azlocal audit`: what stands of an instance on its hosts and in Azure, what is left of it, what is missing."""
