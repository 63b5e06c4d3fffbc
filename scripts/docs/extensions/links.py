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
            if found is None or found.docname == self.env.docname or _is_linked(literal):
                continue
            builder, here = self.app.builder, self.env.docname
            link = make_refnode(builder, here, found.docname, found.node_id, literal.deepcopy())
            literal.replace_self(link)


def _found(text: str, objects: Any) -> Any:
    name = re.match(r"[\w.]+", text)
    if name is None or text[name.end() :][:1] not in ("", "("):
        return None
    candidates = (objects.get(prefix + name[0]) for prefix in _PREFIXES)
    return next((found for found in candidates if found is not None), None)


def _is_linked(node: nodes.Node) -> bool:
    while node is not None and not isinstance(node, nodes.reference | nodes.title):
        node = node.parent
    return node is not None


def setup(app: Any) -> dict[str, bool]:
    app.add_post_transform(Links)
    return {"parallel_read_safe": True}
