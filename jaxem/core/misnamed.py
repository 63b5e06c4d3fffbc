"""Arguments that are called otherwise in a related class."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


def misnamed(**names: str) -> Callable[[Class], Class]:
    """TypeError for a keyword of a constructor that says which one is meant.

    @misnamed(n_components="n_states")
    """

    def checked(cls: Class) -> Class:
        made: Any = cls
        init = made.__init__

        @functools.wraps(init)
        def with_names(self: Any, *args: Any, **given: Any) -> None:
            for wrong in names.keys() & given.keys():
                raise TypeError(f"{cls.__name__} takes {names[wrong]}=, not {wrong}=")
            init(self, *args, **given)

        made.__init__ = with_names
        return cls

    return checked
