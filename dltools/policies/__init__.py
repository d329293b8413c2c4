"""Whole training scripts, one file per task, to be run, read and copied."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.policies.base import PolicyCfg as PolicyCfg
    from dltools.policies.classification import ClassificationPolicy as ClassificationPolicy
    from dltools.policies.classification import ClassificationPolicyCfg as ClassificationPolicyCfg
    from dltools.policies.folder import begin as begin
    from dltools.policies.folder import finish as finish
else:
    __getattr__, __dir__ = lazy(__name__)
