"""The site: Markdown pages, and a page for every public name from its docstring."""

import sys
from pathlib import Path

import jaxem

sys.path.insert(0, str(Path(__file__).parent))

project = "jaxem"
author = "The jaxem developers"
release = version = jaxem.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "extensions.docstrings",
    "extensions.links",
    "extensions.pages",
    "extensions.reference",
]
html_theme = "furo"
html_title = f"jaxem {release}"
html_static_path = ["style"]
html_css_files = ["wide.css"]
html_show_copyright = False
exclude_patterns = ["extensions", "style"]
smartquotes = False  # quotes are code here
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "none"  # shapes are told in words
autodoc_preserve_defaults = True
