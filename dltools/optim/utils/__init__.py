"""Names, roles, groups and depths of parameters."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.optim.utils.groups import GroupRow as GroupRow
    from dltools.optim.utils.groups import GroupRuleCfg as GroupRuleCfg
    from dltools.optim.utils.groups import ParamGroups as ParamGroups
    from dltools.optim.utils.groups import ParamGroupsCfg as ParamGroupsCfg
    from dltools.optim.utils.groups import param_groups as param_groups
    from dltools.optim.utils.layers import layer_depths as layer_depths
    from dltools.optim.utils.names import named_parameters as named_parameters
    from dltools.optim.utils.names import named_tensors as named_tensors
    from dltools.optim.utils.names import unwrap as unwrap
    from dltools.optim.utils.names import walk as walk
    from dltools.optim.utils.roles import Role as Role
    from dltools.optim.utils.roles import role_of as role_of
else:
    __getattr__, __dir__ = lazy(__name__)
