"""`azlocal status`: everything planned against everything that stands, cause first. Pure."""
