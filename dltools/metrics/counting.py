"""What everything that counts can do with its states: start again, merge, save, go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from dltools.dist import Group, flat_reduce, rank, world
from dltools.errors import ConfigError
from dltools.states import States

JOB = 0
"""In place of a world size: the states are those of the whole job."""


class Counting(ABC):
    """A metric, or several: states by the text of what is counted in them."""

    @abstractmethod
    def counted(self) -> Mapping[str, States]:
        """The states, each once, by family and config."""

    def reset(self) -> None:
        """Start again from nothing."""
        for states in self.counted().values():
            states.reset()

    def merge(self, other: Self) -> None:
        """As if what ``other`` has counted had been counted here too."""
        mine, theirs = self.counted(), other.counted()
        _refuse_others(theirs, mine)
        for key, states in mine.items():
            states.merge(theirs[key])

    def state_dict(self) -> dict[str, Any]:
        """What this process has counted: plain tensors, strings and integers."""
        return {"world": world(), "states": {key: states.state_dict() for key, states in self.counted().items()}}

    def full_state_dict(self, group: Group = None) -> dict[str, Any]:
        """What the whole job has counted; every rank must call it. It loads at any world size."""
        mine = self.counted()
        parts = [(kind, states.stored(name)) for states in mine.values() for name, kind in states.layout.items()]
        merged = iter(flat_reduce(parts, group=group, schema="\n".join(mine)))
        whole = {key: {name: next(merged).detach().clone() for name in states.layout} for key, states in mine.items()}
        return {"world": JOB, "states": whole}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; what belongs to the whole job goes to rank 0, the other ranks start empty."""
        mine, saved = self.counted(), state["states"]
        _refuse_others(saved, mine)
        if state["world"] not in (JOB, world()):
            raise ConfigError(
                f"the state is that of one of {state['world']} ranks; there are {world()}",
                hint="save full_state_dict(), which loads at any world size",
            )
        for key, states in mine.items():
            if state["world"] == JOB and rank():
                states.reset()
            else:
                states.load_state_dict(saved[key])


def _refuse_others(given: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    if given.keys() != mine.keys():
        raise ConfigError(
            f"the state counts {_texts(given.keys() - mine.keys())}", expected=_texts(mine.keys() - given.keys())
        )


def _texts(keys: Any) -> str:
    return "; ".join(sorted(keys)) or "nothing more"
