"""Trees of specs, or of values, as JSON and back: by the names of their classes, no code."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any


def is_spec(kind: type) -> bool:
    return dataclasses.is_dataclass(kind)


def is_value(kind: type) -> bool:
    return issubclass(kind, tuple) and kind is not tuple


def encode(
    node: Any, leaf: Callable[[Any, str], Any], known: Mapping[str, type], name: str = ""
) -> Any:
    """The tree as JSON; `leaf(node, name)` gives that of a leaf, `known` are the classes by name.

    ValueError for a class that is not known.
    """

    def each(items: Any) -> dict[str, Any]:
        return {
            key: encode(value, leaf, known, f"{name}.{key}".lstrip(".")) for key, value in items
        }

    kind = type(node)
    if (is_spec(kind) or is_value(kind)) and known.get(kind.__name__) is not kind:
        raise ValueError(f"{name or 'params'} is a {kind.__name__}, which a model file cannot hold")
    if is_spec(kind):
        fields = [(field.name, getattr(node, field.name)) for field in dataclasses.fields(kind)]
        return {"spec": kind.__name__, "fields": each(fields)}
    if is_value(kind):
        return {"type": kind.__name__, "fields": each(node._asdict().items())}
    if kind is tuple:
        return [*each((str(i), item) for i, item in enumerate(node)).values()]
    if kind is float and math.isinf(node):  # of which JSON knows nothing
        return {"number": str(node)}
    if kind is dict and all(isinstance(key, str) for key in node):
        return {"dict": each(node.items())}
    return leaf(node, name)


def decode(node: Any, leaf: Callable[[Any], Any], known: Mapping[str, type]) -> Any:
    """The tree that `encode` was given."""
    if isinstance(node, list):
        return tuple(decode(item, leaf, known) for item in node)
    if not isinstance(node, dict):
        return leaf(node)
    if "number" in node:
        return float(node["number"])
    if "dict" in node:
        return {key: decode(value, leaf, known) for key, value in node["dict"].items()}
    name = node["spec"] if "spec" in node else node["type"]
    if name not in known:
        raise ValueError(f"it does not know {name!r}")
    fields = {key: decode(value, leaf, known) for key, value in node["fields"].items()}
    return known[name](**fields)
