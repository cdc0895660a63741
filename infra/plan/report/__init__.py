"""Plans for people: tables, Markdown, pictures and pages; and JSON for scripts."""
