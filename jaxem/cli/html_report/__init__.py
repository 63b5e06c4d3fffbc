"""A fit as one page of HTML: what it found, what to beware of, and how to make it again."""

from jaxem.cli.html_report.document import write as write
