"""The doctor's results for people, scripts and CI."""
