"""``plot`` and ``analyze --plot`` through a real process."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.cli.process import Program

FIXTURES = Path(__file__).parents[2] / "fixtures"
DUMPED = str(FIXTURES / "tensors" / "healthy-digits")


def width_of(path: Path) -> int:
    return Image.open(io.BytesIO(path.read_bytes())).width


def pages(data: bytes) -> int:
    return data.count(b"/Type /Page ") + data.count(b"/Type /Page\n")


def test_the_picture_lies_in_the_working_directory_and_is_told_of(program: Program, folder: Path) -> None:
    done = program("plot", "healthy.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "healthy-curves.png is drawn.\n")
    assert width_of(folder / "healthy-curves.png") == pytest.approx(180 / 25.4 * 200, abs=2)
    again = program("plot", "healthy.csv", "--width", "80")
    assert again.returncode == 0
    assert width_of(folder / "healthy-curves.png") == pytest.approx(80 / 25.4 * 200, abs=2)


def test_all_kinds_go_to_files_or_to_pages(program: Program, folder: Path) -> None:
    done = program("plot", DUMPED, "--kind", "all", "--output", "all.pdf")
    assert done.returncode == 0, done.stderr
    assert pages((folder / "all.pdf").read_bytes()) == 6
    assert "importance: No importance of features was recorded." in done.stderr
    done = program("plot", DUMPED, "--kind", "curves,latent", "-o", "x.svg")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.glob("x*")} == {"x-curves.svg", "x-latent.svg"}


def test_what_cannot_be_drawn_says_how_to_record_it(program: Program, folder: Path) -> None:
    done = program("plot", "healthy.csv", "--kind", "latent")
    assert done.returncode == 2
    assert done.stderr.startswith("ctroubleshoot: latent: No activations were saved as they are. Record a layer")
    done = program("plot", "healthy.csv", "--kind", "latent,curves", "-o", "y.png")
    assert done.returncode == 2
    assert (folder / "y-curves.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "histogram"], "Did you mean"),
        (["--output", "x.gif"], "no known ending"),
        (["--output", "nowhere/x.png"], "does not exist"),
        (["--step", "9:1"], "is not a step"),
        (["--step", "5000:"], "The log goes from 0 to 299."),
        (["--width", "7"], "is no width"),
        (["--projection", "mds"], "Choose from: pca, tsne, umap."),
    ],
)
def test_wrong_use_is_told(program: Program, folder: Path, arguments: list[str], said: str) -> None:
    done = program("plot", "healthy.csv", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not list(folder.glob("*.png"))


def test_files_of_the_run_are_never_replaced(program: Program, folder: Path) -> None:
    shutil.copytree(DUMPED, folder / "run")
    own = folder / "run" / "loss.png"
    own.write_bytes(b"somebody's picture")
    for arguments in (["plot", "run"], ["analyze", "run"]):
        option = "--output" if arguments[0] == "plot" else "--plot"
        done = program(*arguments, option, "run/loss.png")
        assert done.returncode == 2
        assert "is a file of the run and is not replaced" in done.stderr
    assert own.read_bytes() == b"somebody's picture"
    # What was drawn here may be drawn anew.
    assert [program("plot", "run", "-o", "run/curves.png").returncode for _ in range(2)] == [0, 0]
    (folder / "healthy-curves.png").write_text("mine")
    done = program("plot", "healthy.csv")
    assert "is there already and is not replaced" in done.stderr
    assert (folder / "healthy-curves.png").read_text() == "mine"


def test_a_saved_report_is_drawn(program: Program, folder: Path) -> None:
    assert program("analyze", "broken.csv", "--format", "json", "-o", "report.json").returncode == 1
    assert json.loads((folder / "report.json").read_text())["runs"]
    done = program("plot", "report.json", "-o", "report.svg")
    assert done.returncode == 0, done.stderr
    assert "NaN or infinite" in (folder / "report.svg").read_text()
    assert program("plot", "report.json", "--step", "1:2").returncode == 2


def test_analyze_draws_the_worst_run_and_keeps_its_code(program: Program, folder: Path) -> None:
    done = program("analyze", "healthy.csv", "broken.csv", "--plot", "worst.svg")
    assert done.returncode == 1
    assert "worst.svg is drawn." in done.stderr
    assert "broken.csv" in (folder / "worst.svg").read_text()
    assert program("analyze", "healthy.csv", "--plot", "fine.png", "-q").returncode == 0
    assert program("analyze", "healthy.csv", "--plot", "fine.html").returncode == 2
    done = program("analyze", "nothing.csv", "--plot", "none.png")
    assert done.returncode == 2
    assert not (folder / "none.png").exists()


@pytest.mark.parametrize("arguments", [["plot", "healthy.csv"], ["analyze", "healthy.csv", "--plot", "x.png"]])
def test_without_matplotlib_one_sentence_says_what_to_install(
    program: Program, folder: Path, arguments: list[str]
) -> None:
    blocked = folder / "blocked" / "matplotlib"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('blocked')\n")
    done = program(*arguments, PYTHONPATH=str(blocked.parent))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "ctroubleshoot: Pictures are drawn with matplotlib, which is not installed."
        " Install: pip install 'convergence-cli[plot]'\n"
    )
    assert not list(folder.glob("*.png"))


def test_help_needs_no_matplotlib(program: Program, folder: Path) -> None:
    blocked = folder / "blocked" / "matplotlib"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise SystemError('imported')\n")
    done = program("plot", "--help", PYTHONPATH=str(blocked.parent))
    assert done.returncode == 0
    assert "--projection" in done.stdout
    assert program("analyze", "healthy.csv", PYTHONPATH=str(blocked.parent)).returncode == 0


def test_a_folder_of_runs_is_told_with_names_that_can_be_copied(program: Program, folder: Path) -> None:
    table = (folder / "healthy.csv").read_bytes()
    odd = ["it's a run", "x" * 240, "a \x1b[31mred\n1", *(f"plain{number}" for number in range(4))]
    for name in odd:
        (folder / "many").mkdir(exist_ok=True)
        (folder / "many" / f"{name}.csv").write_bytes(table)
    done = program("plot", "many")
    assert done.returncode == 2
    assert done.stderr.startswith("ctroubleshoot: many holds 7 runs, and one is drawn. Name one of them: ")
    assert done.stderr.endswith("  and 2 more\n")
    assert "\x1b" not in done.stderr
    told = done.stderr.partition("of them: ")[2].partition("  and 2 more")[0]
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {told}"], capture_output=True, check=True).stdout
    files = words.decode().split("\0")[:-1]
    assert len(files) == 5
    assert all((folder / file).is_file() for file in files)
    assert "many/a \x1b[31mred\n1.csv" in files


def test_of_a_report_on_many_runs_the_one_that_is_drawn_is_named(program: Program, folder: Path) -> None:
    assert program("analyze", "healthy.csv", "broken.csv", "--format", "json", "-o", "report.json").returncode == 1
    done = program("plot", "report.json", "-o", "report.svg")
    assert done.returncode == 0
    assert done.stderr == (
        "report.json holds 2 runs; the worst is drawn: broken.csv. To draw another, plot its log.\n"
        "report.svg is drawn.\n"
    )


def test_a_step_without_a_dump_is_no_picture(program: Program, folder: Path) -> None:
    done = program("plot", DUMPED, "--kind", "gradients,curves", "--step", "7", "-o", "a.svg")
    assert done.returncode == 2
    assert "gradients: No gradients were recorded at step 7. Choose from steps 1, 61," in done.stderr
    assert "Warning" not in done.stderr
    assert {path.name for path in folder.glob("a*.svg")} == {"a-curves.svg"}
