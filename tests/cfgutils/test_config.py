from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from dltools.cfgutils import Component, Config, build, choice, load, uniform
from dltools.cfgutils.config import members, tags
from dltools.errors import ConfigError
from tests.cfgutils.families import (
    Disc,
    DiscCfg,
    Group,
    GroupCfg,
    Pen,
    PenCfg,
    SceneCfg,
    ScissorsCfg,
    ShapeCfg,
    ShapeCfgT,
    T_co,
)


def test_build_makes_the_named_product() -> None:
    disc = build(DiscCfg(radius=2.0))
    assert (type(disc), disc.cfg) == (Disc, DiscCfg(radius=2.0))
    pen = build(PenCfg(), 3)
    assert (type(pen), pen.size) == (Pen, 3)
    assert build(PenCfg(), size=4).size == 4
    with pytest.raises(TypeError, match="size"):
        build(PenCfg())  # type: ignore[call-arg]


def test_what_cannot_be_built_says_why() -> None:
    with pytest.raises(ConfigError, match="ShapeCfg is a family and builds nothing. Expected one of Disc, Group"):
        build(ShapeCfg())
    with pytest.raises(ConfigError, match=r"spaces: radius. Hint: sample\(cfg, seed\) or resolve\(cfg, values\)"):
        build(DiscCfg(radius=uniform(1, 2)))
    with pytest.raises(ConfigError, match=r"build got choice\(.*Hint: sample\(cfg, seed\) or resolve"):
        build(choice(DiscCfg(radius=1), DiscCfg(radius=2)))
    wanted = "Expected a config that names a product, such as DiceLossCfg()"
    for wrong, told in [(3, "3"), (SceneCfg(), "SceneCfg()"), (ScissorsCfg(), "ScissorsCfg()")]:
        with pytest.raises(ConfigError, match=f"^{re.escape(f'build got {told}. {wanted}.')}$"):
            build(wrong)  # type: ignore[arg-type]


def test_a_concrete_config_is_final() -> None:
    with pytest.raises(ConfigError, match="DiscCfg, which is final. Hint: derive both from a common family, a generic"):

        class MoreCfg(DiscCfg):
            more: int = 1


def test_tags_are_unique_in_a_family_but_a_namesake_replaces() -> None:
    class FamilyCfg(Config[T_co]):
        pass

    with pytest.raises(ConfigError, match="same tag 'Disc'. Hint: rename one of them"):

        class DiscCfg(ShapeCfg["Disc"]):
            pass

    class BrushCfg(FamilyCfg["Disc"]):  # the same tag in another family
        pass

    def define(value: int) -> type[Config[Any]]:
        class AgainCfg(FamilyCfg["Pen"]):
            size: int = value

        return AgainCfg

    old, new = define(1), define(2)
    assert members(FamilyCfg) == {"Brush": BrushCfg, "Again": new}
    assert old is not new


def test_an_unnamed_product_and_a_missing_one() -> None:
    class FamilyCfg(Config[T_co]):
        def build(self) -> T_co:
            return self.product()(self)

    class LostCfg(FamilyCfg["Nowhere"]):  # type: ignore[name-defined]
        pass

    with pytest.raises(ConfigError, match="builds 'Nowhere', which .* does not define"):
        build(LostCfg())
    assert copy.copy(LostCfg()) == LostCfg()

    class NearCfg(FamilyCfg["Dics"]):  # type: ignore[name-defined]
        pass

    with pytest.raises(ConfigError, match=r"does not define\. Hint: did you mean 'Disc'"):
        build(NearCfg())


def test_tags_name_what_a_field_of_the_family_takes() -> None:
    assert tags(ShapeCfg) == ["Disc", "Group"]
    assert DiscCfg.tag == "Disc"
    assert ShapeCfg.tag == ""


def test_components_take_fields_as_sugar() -> None:
    assert Disc(radius=2.0).cfg == DiscCfg(radius=2.0)
    assert repr(Disc(radius=2.0)) == "Disc(radius=2.0)"
    names = {"Group": Group, "DiscCfg": DiscCfg}
    group = Group(parts={"a": DiscCfg(share=0.1)})
    assert eval(repr(group), names).cfg == group.cfg
    with pytest.raises(ConfigError, match="did you mean 'radius'"):
        Disc(raduis=2.0)
    with pytest.raises(ConfigError, match=r"^Disc got GroupCfg\(\)\. Expected a DiscCfg, or its fields by name"):
        Disc(GroupCfg())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="search spaces"):
        Disc(radius=uniform(1, 2))


def test_a_component_has_the_signature_of_its_config_which_stands_in_its_base() -> None:
    assert inspect.signature(Disc) == inspect.signature(DiscCfg)
    with pytest.raises(AttributeError, match="^__signature__$"):
        _ = Disc().__signature__

    class Family(Component[ShapeCfgT]):
        pass

    class Ring(Family[DiscCfg]):
        pass

    assert (Ring.config, hasattr(Family, "config")) == (DiscCfg, False)


def test_a_tag_that_nobody_has_imported_is_found_in_the_home_of_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "homely"
    home.mkdir()
    (home / "__init__.py").write_text(HOME)
    (home / "base.py").write_text(FAMILY)
    for name in ("oak", "ash"):
        tree = name.capitalize()
        (home / f"{name}.py").write_text(
            f"from homely.base import TreeCfg\nclass {tree}Cfg(TreeCfg['{tree}']): ...\nclass {tree}: ...\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    base = importlib.import_module("homely.base")
    assert load(base.TreeCfg, "Oak").tag == "Oak"
    assert "homely.ash" not in sys.modules
    with pytest.raises(ConfigError, match="type is 'Elm', no TreeCfg; known: Ash, Oak"):
        load(base.TreeCfg, "Elm")
    assert "homely.ash" in sys.modules
    for name in ("homely", "homely.base", "homely.oak", "homely.ash"):
        monkeypatch.delitem(sys.modules, name)


HOME = """
from typing import TYPE_CHECKING
from dltools._lazy import lazy
if TYPE_CHECKING:
    from homely.ash import AshCfg as AshCfg
    from homely.oak import OakCfg as OakCfg
else:
    __getattr__, __dir__ = lazy(__name__)
"""
FAMILY = """
from typing import TypeVar
from dltools.cfgutils import Config
T = TypeVar("T")
class TreeCfg(Config[T]): ...
"""
SCRIPT = """
from __future__ import annotations
import sys, pickle, cloudpickle
from typing import TypeVar, Mapping, Any
from dltools.cfgutils import Config, Component, Unit, load, dump
T = TypeVar("T")
class FamCfg(Config[T]):
    def build(self) -> T: return self.product()(self)
class LeafCfg(FamCfg["Leaf"]):
    alpha: Unit = 0.5
class Leaf(Component[LeafCfg]): ...
class TreeCfg(FamCfg["Tree"]):
    leaves: Mapping[str, FamCfg[Any]]
class Tree(Component[TreeCfg]): ...
sys.stdout.buffer.write(cloudpickle.dumps(TreeCfg(leaves={"a": LeafCfg(alpha=0.25)})))
"""
READER = """
import pickle, sys
from dltools.cfgutils import build
cfg = pickle.load(sys.stdin.buffer)
leaf = cfg.leaves["a"]
print(build(cfg), build(leaf), type(cfg)(leaves={"q": type(leaf)(alpha=.75)}))
"""


def test_cloudpickle_sends_a_script_s_own_configs_by_value() -> None:
    sent = subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, check=True).stdout
    read = subprocess.run([sys.executable, "-c", READER], input=sent, capture_output=True, check=True).stdout
    assert (
        read.decode()
        == "Tree(leaves={'a': LeafCfg(alpha=0.25)}) Leaf(alpha=0.25) TreeCfg(leaves={'q': LeafCfg(alpha=0.75)})\n"
    )
    assert cloudpickle.loads(pickle.dumps(DiscCfg())) == DiscCfg()


def test_a_config_of_a_module_that_is_not_there_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("elsewhere")
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    exec(textwrap.dedent(SCRIPT).rpartition("sys.stdout")[0], vars(module))
    cloudpickle.register_pickle_by_value(module)
    sent = cloudpickle.dumps(module.LeafCfg(alpha=0.25))
    read = subprocess.run([sys.executable, "-c", ARRIVAL], input=sent, capture_output=True)
    assert read.stdout.decode() == "Leaf(alpha=0.25) LeafCfg(alpha=0.75)\n", read.stderr.decode()


ARRIVAL = """
import pickle, sys
from dltools.cfgutils import build
cfg = pickle.load(sys.stdin.buffer)
print(build(cfg), type(cfg)(alpha=0.75))
"""
