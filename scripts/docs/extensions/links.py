"""Names in code type, such as `jaxem.fit` or `families.Gaussian("full")`, become links."""

import re
from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

_PREFIXES = ("", "jaxem.", "jaxem.families.")


class Links(SphinxPostTransform):
    """Each literal that is the name of something with a page of its own is a link to it."""

    default_priority = 5

    def run(self, **options: Any) -> None:
        objects = self.env.get_domain("py").objects
        for literal in list(self.document.findall(nodes.literal)):
            found = _found(literal.astext(), objects)
            here = self.env.docname
            if found is None or found.docname == here or _is_no_place(literal, here):
                continue
            builder = self.app.builder
            link = make_refnode(builder, here, found.docname, found.node_id, literal.deepcopy())
            literal.replace_self(link)


def _found(text: str, objects: Any) -> Any:
    name = re.match(r"[\w.]+", text)
    if name is None or text[name.end() :][:1] not in ("", "("):
        return None
    candidates = (objects.get(prefix + name[0]) for prefix in _PREFIXES)
    return next((found for found in candidates if found is not None), None)


def _is_no_place(literal: nodes.literal, here: str) -> bool:
    """Whether it is a link or heading already, what is explained there, or a method's name."""
    node: Any = literal
    while node is not None and not isinstance(node, nodes.reference | nodes.title | nodes.term):
        node = node.parent
    return node is not None or ("jaxem.core." in here and "." not in literal.astext())


def setup(app: Any) -> dict[str, bool]:
    app.add_post_transform(Links)
    return {"parallel_read_safe": True}
