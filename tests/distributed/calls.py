"""Count the collectives of this process."""

from __future__ import annotations

from typing import Any

import torch.distributed as c10d


class Calls:
    """``with Calls() as calls: ...``, then ``calls.names``."""

    def __enter__(self) -> Calls:
        self.names: list[str] = []
        self.saved = {name: getattr(c10d, name) for name in ("all_reduce", "all_gather", "broadcast", "barrier")}
        for name, call in self.saved.items():
            setattr(c10d, name, self.spy(name, call))
        return self

    def spy(self, name: str, call: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.names.append(name)
            return call(*args, **kwargs)

        return counted

    def __exit__(self, *error: object) -> None:
        for name, call in self.saved.items():
            setattr(c10d, name, call)
