"""The trainable parameters of a model: each once, with its names, the module that holds it, and its role."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from dltools.errors import ConfigError
from dltools.optim.utils.names import walk
from dltools.optim.utils.roles import Role, parametrised_role, role_by_type, role_of

Found: TypeAlias = tuple[str, nn.Module, Role]
"""A parameter under one of its names: name, the module that holds it, the role of its first name."""


class Trainable:
    """Columns with an entry per parameter, since an object for each would cost more than all the rest.

    >>> found = Trainable(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    >>> list(zip(found.names, found.roles))
    [('0.weight', 'weight'), ('0.bias', 'bias'), ('1.weight', 'norm'), ('1.bias', 'bias')]

    They stand under their first names; further ones of tied parameters are kept by position. Raises ConfigError for a
    parameter that has no shape yet.
    """

    def __init__(self, model: nn.Module) -> None:
        self.names: list[str] = []
        self.params: list[nn.Parameter] = []
        self.owners: list[nn.Module] = []
        self.roles: list[Role] = []
        self._ties: dict[int, list[tuple[str, nn.Module]]] = {}
        self._modules = walk(model)
        self._by_name: dict[str, nn.Module] = {}
        self._fill()
        if len(set(map(id, self.params))) < len(self.params):
            self._tie()
        if set(map(type, self.params)) != {nn.Parameter}:
            for name in (name for name, param in zip(self.names, self.params, strict=True) if is_lazy(param)):
                raise ConfigError(f"{name} has no shape yet", hint="run one forward pass before building the optimizer")

    def all_names(self, i: int) -> list[Found]:
        """A parameter under each of its names."""
        role = self.roles[i]
        others: list[Found] = [(name, owner, role) for name, owner in self._ties.get(i, ())]
        return [(self.names[i], self.owners[i], role), *others]

    def _fill(self) -> None:
        names, params, owners, roles = self.names, self.params, self.owners, self.roles
        by_type: dict[type, dict[str, Any]] = {}
        for prefix, module in self._modules:
            if not (own := module._parameters):
                continue
            kind: Any = type(module)
            known = by_type.setdefault(kind, {})
            dotted = f"{prefix}." if prefix else ""
            for key, param in own.items():
                if param is None or not param.requires_grad:
                    continue
                role: Any = known.get(key)
                if role is None:
                    role = known[key] = role_by_type(kind, key)
                owner = module
                if role == "rank":
                    role = "weight" if param.ndim > 1 else "scale"
                elif role == "look":
                    owner, role = self._look(prefix, module, key, param)
                names.append(dotted + key)
                params.append(param)
                owners.append(owner)
                roles.append(role)

    def _tie(self) -> None:
        """Keep each parameter under its first name."""
        first: dict[int, int] = {}
        kept: list[int] = []
        for i, param in enumerate(self.params):
            if id(param) in first:
                self._ties.setdefault(first[id(param)], []).append((self.names[i], self.owners[i]))
            else:
                first[id(param)] = len(kept)
                kept.append(i)
        columns: list[list[Any]] = [self.names, self.params, self.owners, self.roles]
        for column in columns:
            column[:] = [column[i] for i in kept]

    def _look(self, prefix: str, module: nn.Module, key: str, param: nn.Parameter) -> tuple[nn.Module, Role]:
        """The owner, for one that is parametrised that of the tensor itself, and the role by a look at the tensor."""
        if is_lazy(param):
            return module, "weight"
        if not isinstance(module, ParametrizationList):
            return module, role_of(module, key, param)
        self._by_name = self._by_name or dict(self._modules)
        holder, _, tensor = prefix.rpartition("parametrizations.")
        owner = self._by_name[holder.removesuffix(".")]
        return owner, parametrised_role(owner, tensor, module, param)
