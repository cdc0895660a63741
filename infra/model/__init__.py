"""Value types that plan, program, plugin and hosts share. All may import it; of ours it imports errors alone."""
