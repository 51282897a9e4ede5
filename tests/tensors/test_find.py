from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from convergence_cli.errors import SourceError
from convergence_cli.tensors import find
from convergence_cli.tensors.find import DumpSet, find_dumps

W = {"weight/fc1.weight": np.ones((2, 3), dtype=np.float32)}


def write(path: Path, arrays: dict[str, np.ndarray] | None = None) -> Path:
    arrays = W if arrays is None else arrays
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    elif path.suffix == ".npy":
        np.save(path, next(iter(arrays.values())))
    else:
        torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, path)
    return path


def told(one: DumpSet) -> list[tuple[float, str, str]]:
    return [(dump.step, dump.worker, dump.mode) for dump in one.dumps]


def keys(one: DumpSet) -> list[list[str]]:
    return [[tensor.key for tensor in dump.tensors()] for dump in one.dumps]


@pytest.mark.parametrize("ending", ["npz", "safetensors", "pt", "pth"])
def test_one_file_a_step(tmp_path: Path, ending: str) -> None:
    for step in (100, 20, 3):
        write(tmp_path / "run" / "tensors" / f"step_{step:06d}.{ending}")
    (one,) = find_dumps(tmp_path)
    assert one.folder == tmp_path / "run"
    assert told(one) == [(3, "", ""), (20, "", ""), (100, "", "")]
    assert keys(one) == [list(W)] * 3
    assert {dump.ordered for dump in one.dumps} == {ending != "safetensors"}
    assert all(abs(dump.time - os.stat(dump.path).st_mtime) < 1 for dump in one.dumps)


@pytest.mark.parametrize(
    ("name", "step", "worker", "mode"),
    [
        ("tensors/000100.npz", 100, "", ""),
        ("tensors/iter-7.npz", 7, "", ""),
        ("tensors/global_step12.pt", 12, "", ""),
        ("tensors/step_000100_rank1.npz", 100, "1", ""),
        ("tensors/step_5_train.npz", 5, "", "train"),
        ("tensors/eval_step_5.npz", 5, "", "eval"),
        ("tensors/step_5_rank_01_val.npz", 5, "1", "eval"),
        ("tensors/rank_1/step_5.npz", 5, "1", ""),
        ("tensors/worker_0/eval/step_5.npz", 5, "0", "eval"),
        ("tensors/step_5/rank_3.npz", 5, "3", ""),
        ("tensors/train/5/tensors.safetensors", 5, "", "train"),
        ("tensors/dump_100.npz", 100, "", ""),
        ("tensors/model_100.safetensors", 100, "", ""),
        ("tensors/epoch_1.pt", 1, "", ""),
        ("tensors/ckpt_step_100.pth", 100, "", ""),
        ("tensors/epoch=1-step=100.npz", 100, "", ""),
        ("tensors/resnet18_dump100_rank_2_eval.npz", 100, "2", "eval"),
        ("tensors/rank_2/dump_100.npz", 100, "2", ""),
        ("tensors/iter_000100/model.npz", 100, "", ""),
        ("tensors/step_100/layer1.npz", 100, "", ""),
        ("tensors/config.npz", 0, "", ""),
        ("tensors/weights.npz", 0, "", ""),
        ("step_000100.npz", 100, "", ""),
        ("rank_2/step_100.npz", 100, "2", ""),
    ],
)
def test_steps_workers_and_modes_are_read_from_names(
    tmp_path: Path, name: str, step: float, worker: str, mode: str
) -> None:
    write(tmp_path / "run" / name)
    (one,) = find_dumps(tmp_path / "run")
    assert (one.folder, told(one)) == (tmp_path / "run", [(step, worker, mode)])


@pytest.mark.parametrize("prefix", ["tensors/", ""])
def test_a_tree_is_one_dump_a_step(tmp_path: Path, prefix: str) -> None:
    for step in ("step_2", "10"):
        for name in ("gradient/layer10.weight", "gradient/layer2.weight", "weights/block/fc.weight"):
            write(tmp_path / f"{prefix}{step}" / f"{name}.npy")
    (one,) = find_dumps(tmp_path)
    assert one.folder == tmp_path
    assert told(one) == [(2, "", ""), (10, "", "")]
    assert keys(one) == [["gradient/layer2.weight", "gradient/layer10.weight", "weight/block/fc.weight"]] * 2
    assert Path(one.dumps[0].path) == tmp_path / f"{prefix}step_2"
    assert not one.dumps[0].ordered


def test_a_tree_has_workers_and_modes(tmp_path: Path) -> None:
    write(tmp_path / "tensors" / "rank_1" / "eval" / "7" / "activation" / "relu.npy")
    (one,) = find_dumps(tmp_path)
    assert told(one) == [(7, "1", "eval")]


def test_files_by_kind_are_one_dump(tmp_path: Path) -> None:
    write(
        tmp_path / "tensors" / "step_1" / "gradients.npz", {"fc1.weight": np.ones(2), "gradient/fc2.weight": np.ones(2)}
    )
    write(tmp_path / "tensors" / "step_1" / "weights.safetensors", {"fc1.weight": np.ones(2)})
    (one,) = find_dumps(tmp_path)
    assert keys(one) == [["gradient/fc1.weight", "gradient/fc2.weight", "weight/fc1.weight"]]


def test_files_by_kind_and_number_are_one_dump(tmp_path: Path) -> None:
    for kind in ("gradients", "weights"):
        write(tmp_path / "tensors" / f"{kind}_100.npz", {"fc1.weight": np.ones(2)})
    (one,) = find_dumps(tmp_path)
    assert keys(one) == [["gradient/fc1.weight", "weight/fc1.weight"]]
    assert one.dumps[0].step == 100


@pytest.mark.parametrize("beside", ["tensors/step_5.npz", "tensors/final.npz", "tensors/rank_1/dump_5.npz"])
def test_a_file_without_a_number_is_left_out_beside_others(tmp_path: Path, beside: str) -> None:
    write(tmp_path / "tensors" / "best.npz")
    write(tmp_path / beside)
    assert [dump.step for one in find_dumps(tmp_path) for dump in one.dumps] == ([] if "final" in beside else [5])


@pytest.mark.parametrize("below", ["tensors", "tensors/train", "tensors/5"])
def test_a_folder_of_dumps_may_be_named_itself(tmp_path: Path, below: str) -> None:
    write(tmp_path / "run" / below / ("activation/relu.npy" if below.endswith("5") else "step_5.npz"))
    (one,) = find_dumps(tmp_path / "run" / below)
    assert one.folder == tmp_path / "run"
    assert one.dumps[0].step == 5


def test_names_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "run" / "tensors" / "step_5.npz")
    monkeypatch.chdir(tmp_path)
    assert [one.folder for one in find_dumps(Path("run"))] == [Path("run")]
    assert [one.folder for one in find_dumps(Path("run/tensors"))] == [Path("run")]
    monkeypatch.chdir(tmp_path / "run")
    assert [one.folder for one in find_dumps(Path("."))] == [Path(".")]


def test_every_run_has_its_own_set(tmp_path: Path) -> None:
    for run in ("a", "b"):
        write(tmp_path / run / "tensors" / "step_1.npz")
    assert [one.folder.name for one in find_dumps(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint-500/model.safetensors",
        "model.safetensors",
        "best.pt",
        "epoch_3.pt",
        "500.npz",
        "global_step500/mp_rank_00_model_states.pt",
        "step_500/model.safetensors",
        "data/train.npy",
        "data/labels/y.npy",
        "dump_100.npz",
        "ckpt_100.safetensors",
        "model/tensors.npz",
        "tensors/step_1.npz.tmp",
        "tensors/.step_1.npz",
        "tensors/.hidden/step_1.npz",
        "tensors/step_1.part",
        "tensors/step_99999999999999999999.npz",
    ],
)
def test_other_files_are_no_dumps(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"anything")
    assert find_dumps(tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside" / "step_1.npz")
    (tmp_path / "run" / "tensors").mkdir(parents=True)
    (tmp_path / "run" / "tensors" / "step_1.npz").symlink_to(tmp_path / "outside" / "step_1.npz")
    (tmp_path / "run" / "tensors" / "train").symlink_to(tmp_path / "outside")
    assert find_dumps(tmp_path / "run") == []


def test_a_link_swapped_in_after_the_walk_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "tensors" / "step_1.npz")
    (one,) = find_dumps(tmp_path)
    path.rename(tmp_path / "elsewhere.npz")
    path.symlink_to(tmp_path / "elsewhere.npz")
    with pytest.raises(SourceError, match="cannot be opened"):
        one.dumps[0].tensors()


def test_too_many_files_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MAX_FILES", 3)
    for step in range(5):
        write(tmp_path / "tensors" / f"step_{step}.npz")
    (one,) = find_dumps(tmp_path)
    assert len(one.dumps) == 3
    assert "first 3 files" in one.notes[0]


@pytest.mark.parametrize(
    ("name", "step", "key"),
    [
        ("model.safetensors", 0, "weight/fc1.weight"),
        ("x.npz", 0, "weight/fc1.weight"),
        ("pytorch_model.bin", 0, "weight/fc1.weight"),
        ("step_000100.pt", 100, "weight/fc1.weight"),
        ("w.npy", 0, "w"),
        ("anything.npy", 0, "weight/anything"),
        ("logits.npy", 0, "logits"),
    ],
)
def test_a_file_that_is_named_is_read(tmp_path: Path, name: str, step: float, key: str) -> None:
    path = write(tmp_path / name)
    (one,) = find_dumps(path)
    assert (one.folder, told(one), keys(one)) == (path, [(step, "", "")], [[key]])


def test_bare_names_in_a_file_that_is_named_are_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", {name: np.ones(2) for name in ("temperature", "logits", "loss")})
    (one,) = find_dumps(path)
    assert keys(one) == [["logits", "loss", "weight/temperature"]]


def test_logs_and_missing_files_hold_no_dumps(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,loss\n")
    assert find_dumps(tmp_path / "metrics.csv") == []
    assert find_dumps(tmp_path / "missing.npz") == []


def test_one_damaged_array_of_a_tree_costs_only_itself(tmp_path: Path) -> None:
    write(tmp_path / "1" / "weight" / "a.npy")
    (tmp_path / "1" / "weight" / "b.npy").write_bytes(b"\x93NUMPY\x01")
    (one,) = find_dumps(tmp_path)
    good, bad = one.dumps[0].tensors()
    assert (good.key, good.trouble, bad.key) == ("weight/a", "", "weight/b")
    assert "damaged" in bad.trouble


@pytest.mark.parametrize("first", ["rank_0", "rank0", "worker_0", "Replica-0", "process=0"])
@pytest.mark.parametrize(
    "name", ["tensors/step_5.npz", "tensors/train/step_5.npz", "tensors/5/weight/a.npy", "tensors/step_5_rank0.npz"]
)
def test_folders_of_workers_are_one_run(tmp_path: Path, first: str, name: str) -> None:
    folders = [tmp_path / "run" / first.replace("0", number) for number in ("0", "1")]
    for folder, number in zip(folders, ("0", "1"), strict=True):
        write(folder / name.replace("rank0", f"rank{number}"))
    mode = "train" if "train" in name else ""
    for root in (tmp_path, tmp_path / "run"):
        (one,) = find_dumps(root)
        assert (one.folder, one.worker_folders) == (tmp_path / "run", tuple(folders))
        assert told(one) == [(5, "0", mode), (5, "1", mode)]


def test_folders_of_workers_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for worker in range(3):
        write(tmp_path / f"rank_{worker}" / "tensors" / "step_5.npz")
    monkeypatch.chdir(tmp_path)
    assert [(one.folder, told(one)) for one in find_dumps(Path("."))] == [
        (Path("."), [(5, str(worker), "") for worker in range(3)])
    ]


def test_the_folder_of_one_worker_is_a_run(tmp_path: Path) -> None:
    write(tmp_path / "worker_0" / "tensors" / "step_5.npz")
    write(tmp_path / "other" / "tensors" / "step_5.npz")
    for root in (tmp_path, tmp_path / "worker_0", tmp_path / "worker_0" / "tensors"):
        assert (tmp_path / "worker_0", ()) in [(one.folder, one.worker_folders) for one in find_dumps(root)]


@pytest.mark.parametrize("beside", ["tensors/step_5.npz", "worker_1/tensors/step_5.npz", "tensors/rank_1/step_5.npz"])
def test_folders_that_may_be_no_workers_of_one_run_stay_apart(tmp_path: Path, beside: str) -> None:
    for name in ("rank_0", "rank_1"):
        write(tmp_path / name / "tensors" / "step_5.npz")
    write(tmp_path / beside)
    found = find_dumps(tmp_path)
    assert [one.worker_folders for one in found] == [()] * 3
    assert {one.folder.name for one in found} >= {"rank_0", "rank_1"}


def test_workers_without_a_folder_of_tensors_join_those_with_one(tmp_path: Path) -> None:
    write(tmp_path / "rank_2" / "step_5.npz")
    for name in ("rank_0", "rank_1"):
        write(tmp_path / name / "tensors" / "step_5.npz")
    (one,) = find_dumps(tmp_path)
    assert told(one) == [(5, "0", ""), (5, "1", ""), (5, "2", "")]
