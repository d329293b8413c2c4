from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as c10d
from torch import nn

from dltools.cfgutils import dump, load
from dltools.errors import ConfigError
from dltools.optim import AdamWCfg, GroupRow, GroupRuleCfg, ParamGroupsCfg, param_groups
from tests.optim.tricky import DECAYED, EXEMPT, TrickyModel


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    meet: Path = tmp_path_factory.mktemp("gloo") / "meet"
    c10d.init_process_group("gloo", init_method=f"file://{meet}", rank=0, world_size=1)
    yield
    c10d.destroy_process_group()


def rules(*given: GroupRuleCfg, **fields: Any) -> ParamGroupsCfg:
    return ParamGroupsCfg(rules=given, **fields)


def check_tricky(model: nn.Module, inner: TrickyModel) -> None:
    groups = param_groups(model, lr=0.5, weight_decay=0.25)
    tensors = dict(inner.named_parameters())
    decay = {group["name"]: group["weight_decay"] for group in groups}
    assert decay == {"decay": 0.25, "no_decay": 0.0}
    found = {group["name"]: {id(param) for param in group["params"]} for group in groups}
    assert found == {
        "decay": {id(tensors[name]) for name in DECAYED},
        "no_decay": {id(tensors[name]) for name in EXEMPT},
    }
    assert sum(len(group["params"]) for group in groups) == 38 == len(DECAYED | EXEMPT)
    assert len(EXEMPT) == 27
    assert {name for name, row in groups.rows.items() if row.weight_decay == 0.0} == EXEMPT
    assert {name for name, row in groups.rows.items() if row.weight_decay == 0.25} == DECAYED


def test_no_tensor_of_the_tricky_model_is_in_the_wrong_group() -> None:
    model = TrickyModel()
    check_tricky(model, model)


def test_a_compiled_model_is_grouped_alike() -> None:
    model = TrickyModel()
    compiled: Any = torch.compile(model, backend="eager")
    assert all(name.startswith("_orig_mod.") for name, _ in compiled.named_parameters())
    check_tricky(compiled, model)


def test_a_distributed_model_is_grouped_alike(one_process: None) -> None:
    model = TrickyModel()
    parallel: Any = nn.parallel.DistributedDataParallel(model)
    check_tricky(parallel, model)
    check_tricky(torch.compile(parallel, backend="eager"), model)  # type: ignore[arg-type]


def test_a_tied_parameter_comes_once_with_the_role_of_its_first_name() -> None:
    table, out = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
    out.weight = table.weight
    for first, role in ((table, "embedding"), (out, "weight")):
        model = nn.Sequential(first, table, out)
        groups = param_groups(model, lr=1.0, weight_decay=0.0)
        assert [len(group["params"]) for group in groups] == [1]
        assert groups.rows == {"0.weight": GroupRow(role, None, 1.0, 0.0)}
    tied = param_groups(
        nn.Sequential(table, out), lr=1.0, weight_decay=0.0, cfg=rules(GroupRuleCfg(name="e", roles=("embedding",)))
    )
    assert tied.rows["0.weight"].rule == "e"
    with pytest.raises(ConfigError, match="'weight'"):
        param_groups(
            nn.Sequential(table, out), lr=1.0, weight_decay=0.0, cfg=rules(GroupRuleCfg(name="w", roles=("weight",)))
        )


def test_the_first_rule_that_fits_sets_what_it_says() -> None:
    model = nn.ModuleDict({"stem": nn.Linear(2, 2), "body": nn.Linear(2, 2), "norm": nn.LayerNorm(2)})
    cfg = rules(
        GroupRuleCfg(name="slow", match=r"^stem\.", lr_mult=0.1, freeze_steps=7),
        GroupRuleCfg(name="all biases", roles=("bias",), weight_decay=0.5),
        GroupRuleCfg(name="linear", types=("Linear",), lr_mult=2.0),
    )
    groups = param_groups(model, lr=0.5, weight_decay=0.25, cfg=cfg)
    assert groups.rows == {
        "stem.weight": GroupRow("weight", "slow", 0.05, 0.25),
        "stem.bias": GroupRow("bias", "slow", 0.05, 0.0),
        "body.weight": GroupRow("weight", "linear", 1.0, 0.25),
        "body.bias": GroupRow("bias", "all biases", 0.5, 0.5),
        "norm.weight": GroupRow("norm", None, 0.5, 0.0),
        "norm.bias": GroupRow("bias", "all biases", 0.5, 0.5),
    }
    assert [(g["name"], g["lr"], g["weight_decay"], g["freeze_steps"], len(g["params"])) for g in groups] == [
        ("slow", 0.05, 0.25, 7, 1),
        ("slow", 0.05, 0.0, 7, 1),
        ("linear", 1.0, 0.25, 0, 1),
        ("all biases", 0.5, 0.5, 0, 2),
        ("no_decay", 0.5, 0.0, 0, 1),
    ]


def test_a_rule_needs_all_of_its_conditions_and_types_include_bases() -> None:
    model = TrickyModel()
    cfg = rules(GroupRuleCfg(name="r", match="a", types=("LayerNorm",), roles=("norm", "bias")))
    rows = param_groups(model, lr=1.0, weight_decay=1.0, cfg=cfg).rows
    assert {n for n, row in rows.items() if row.rule == "r"} == {
        "layer.weight",
        "layer.bias",
        "plane.weight",
        "plane.bias",
    }


def test_names_in_rules_are_those_of_the_author() -> None:
    compiled: Any = torch.compile(TrickyModel(), backend="eager")
    cfg = rules(GroupRuleCfg(name="t", match=r"^tokens\."))
    assert param_groups(compiled, lr=1.0, weight_decay=0.0, cfg=cfg).rows["tokens.weight"].rule == "t"


def test_which_roles_decay_is_configured() -> None:
    rows = param_groups(TrickyModel(), lr=1.0, weight_decay=0.1, cfg=ParamGroupsCfg(decay_roles=("bias",))).rows
    assert {row.role for row in rows.values() if row.weight_decay} == {"bias"}


def test_a_rule_that_matches_nothing_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"rule 'r' matches no trainable parameter.*did you mean 'gain'"):
        param_groups(TrickyModel(), lr=1.0, weight_decay=0.0, cfg=rules(GroupRuleCfg(name="r", match="gian")))
    with pytest.raises(ConfigError, match="did you mean 'Conv2d'"):
        param_groups(TrickyModel(), lr=1.0, weight_decay=0.0, cfg=rules(GroupRuleCfg(name="r", types=("Conv2D",))))
    with pytest.raises(ConfigError, match="'still': known:"):  # frozen
        param_groups(TrickyModel(), lr=1.0, weight_decay=0.0, cfg=rules(GroupRuleCfg(name="r", match="still")))
    hidden = rules(GroupRuleCfg(name="all"), GroupRuleCfg(name="late", match="gain"))
    with pytest.raises(ConfigError, match=r"'late' takes no parameter: earlier rules.*further up"):
        param_groups(TrickyModel(), lr=1.0, weight_decay=0.0, cfg=hidden)
    lenient = rules(GroupRuleCfg(name="r", match="gian"), on_unused_rule="ignore")
    assert len(param_groups(TrickyModel(), lr=1.0, weight_decay=0.0, cfg=lenient).rows) == 38


def test_the_error_about_a_large_model_stays_short() -> None:
    model = nn.ModuleList(nn.Linear(1, 1) for _ in range(500))
    with pytest.raises(ConfigError) as caught:
        param_groups(model, lr=1.0, weight_decay=0.0, cfg=rules(GroupRuleCfg(name="r", match="zzz")))
    assert len(str(caught.value)) < 400


def test_rules_that_set_a_tied_parameter_in_two_ways_are_refused() -> None:
    model = TrickyModel()
    first, second = GroupRuleCfg(name="in", match="^tokens"), GroupRuleCfg(name="out", match="^classify.w", lr_mult=2.0)
    with pytest.raises(ConfigError) as caught:
        param_groups(model, lr=1.0, weight_decay=0.25, cfg=rules(first, second))
    assert all(part in str(caught.value) for part in ("tokens.weight", "classify.weight", "'in'", "'out'"))
    decayed = GroupRuleCfg(name="out", match="^classify.w", weight_decay=1.0)
    with pytest.raises(ConfigError, match="one tied parameter"):
        param_groups(model, lr=1.0, weight_decay=0.25, cfg=rules(first, decayed))
    same = GroupRuleCfg(name="out", match="^classify.w", weight_decay=0.25)
    assert param_groups(model, lr=1.0, weight_decay=0.25, cfg=rules(first, same)).rows["tokens.weight"].rule == "in"
    alone = rules(GroupRuleCfg(name="out", match="^classify.w", lr_mult=2.0))
    assert param_groups(model, lr=1.0, weight_decay=0.25, cfg=alone).rows["tokens.weight"].lr == 2.0


def test_explain_is_a_table_of_every_parameter() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.PReLU())
    groups = param_groups(model, lr=1e-3, weight_decay=0.05, cfg=rules(GroupRuleCfg(name="act", types=("PReLU",))))
    assert groups.explain().splitlines() == [
        "parameter  role    rule  lr     weight_decay",
        "0.weight   weight  -     0.001  0.05",
        "0.bias     bias    -     0.001  0",
        "1.weight   scale   act   0.001  0",
    ]


def test_groups_are_copied_with_their_rows() -> None:
    groups = param_groups(TrickyModel(), lr=1.0, weight_decay=0.5)
    for copied in (copy.deepcopy(groups), pickle.loads(pickle.dumps(groups))):
        assert copied.explain() == groups.explain()
        assert [len(group["params"]) for group in copied] == [len(group["params"]) for group in groups]


def test_layer_decay_halves_from_layer_to_layer() -> None:
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(12)))
    groups = param_groups(model, lr=1.0, weight_decay=0.1, cfg=ParamGroupsCfg(layer_decay=0.5))
    assert [group["lr"] for group in groups] == [0.5**n for n in range(11, -1, -1)]
    assert [row.lr for row in groups.rows.values()] == [0.5**n for n in range(11, -1, -1)]


def test_layer_decay_and_rules_multiply() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    cfg = rules(GroupRuleCfg(name="r", match="^0", lr_mult=3.0), layer_decay=0.5)
    assert [row.lr for row in param_groups(model, lr=2.0, weight_decay=0.0, cfg=cfg).rows.values()] == [3.0, 2.0]


def test_what_cannot_be_grouped_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.weight has no shape yet.*forward"):
        param_groups(nn.Sequential(nn.LazyLinear(2)), lr=1.0, weight_decay=0.0)
    with pytest.raises(ConfigError, match="no regular expression"):
        GroupRuleCfg(name="r", match="(")
    with pytest.raises(ConfigError, match="two rules are called 'r'"):
        rules(GroupRuleCfg(name="r"), GroupRuleCfg(name="r"))
    with pytest.raises(ConfigError, match="role"):
        GroupRuleCfg(name="r", roles=("wieght",))  # type: ignore[arg-type]


def test_groups_stand_in_files() -> None:
    cfg = AdamWCfg(groups=rules(GroupRuleCfg(name="r", match="x", roles=("norm",), freeze_steps=3), layer_decay=0.75))
    assert load(AdamWCfg, dump(cfg)) == cfg
