"""What the site adds to Sphinx: one file each."""
