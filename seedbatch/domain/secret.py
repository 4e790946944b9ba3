from __future__ import annotations

import hmac
from typing import Final, NoReturn

_MASK: Final = "********"


class Secret:
    """Text that shows itself only to who asks with `reveal`: printed, formatted and logged it is a mask.

    It refuses to be copied into a pickle, and is compared in constant time.
    """

    __slots__ = ("_text",)

    def __init__(self, value: str) -> None:
        self._text = value

    def reveal(self) -> str:
        """The secret itself. What it returns belongs into a header and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is never written down")

    def _bytes(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")
