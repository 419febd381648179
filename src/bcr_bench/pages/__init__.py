"""What is shown of a run of a plan: tables, plots, pages, files."""
