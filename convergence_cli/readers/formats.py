"""What is read, as the documents tell it: one entry a format, or for several that one reader knows by their keys.

Data only. ``docs/generate.py`` makes the table of ``docs/formats.md`` of it, and a test holds it to the readers, to
``fixtures/`` and to ``fixtures/requirements.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table. ``names`` are what reports call it, ``reader`` is the module that reads it.

    ``checked`` are the programs that wrote the files it was checked with, as ``package==version``, and ``fixtures``
    the folders below ``fixtures/`` that hold them. Without fixtures ``basis`` says what the tests rest on: ``layout``
    (lines written after the documented or published layout) or ``tests`` (files that the tests write themselves).
    """

    names: tuple[str, ...]
    reader: str
    what: str
    checked: tuple[str, ...] = ()
    fixtures: tuple[str, ...] = ()
    basis: str = "layout"


FORMATS = (
    Format(
        ("tensorboard",),
        "tensorboard",
        "event files, scalars of both encodings, histograms, hyperparameters; `train/` and `validation/` beside each"
        " other are one run",
        ("torch==2.13.0", "tensorboard==2.21.0"),
        ("tensorboard",),
    ),
    Format(
        ("wandb",),
        "wandb",
        "a `.wandb` file, offline or synced; system metrics and media are not read",
        ("wandb==0.31.0",),
        ("wandb",),
    ),
    Format(
        ("mlflow",),
        "mlflow",
        "the file store: one file a metric below `metrics/`; parameters from `params/`",
        ("mlflow-skinny==3.17.2",),
        ("mlflow",),
    ),
    Format(
        ("mlflow",),
        "mlflow_sqlite",
        "the SQLite store (`mlflow.db`, `mlruns.db`): every run that is not deleted, with its parameters",
        ("mlflow-skinny==3.17.2",),
        ("mlflow-db",),
    ),
    Format(
        ("trackio",),
        "trackio",
        "the SQLite file of a project, with or without run identifiers",
        ("trackio==0.43.0",),
        ("trackio",),
    ),
    Format(("aim",), "aim", "recognised only: the answer says how to export"),
    Format(
        ("dvclive",),
        "dvclive",
        "`plots/metrics/`, one table a metric, read as one run",
        ("dvclive==3.49.1",),
        ("dvclive",),
    ),
    Format(
        ("catboost",),
        "dvclive",
        "`learn_error.tsv` and `test_error.tsv`, read as one run; the event files below them repeat it",
        ("catboost==1.2.10",),
        ("trees",),
    ),
    Format(
        ("huggingface",),
        "huggingface",
        "`trainer_state.json`; of several checkpoints the newest, since its history holds the others'",
        ("transformers==5.23.0",),
        ("huggingface",),
    ),
    Format(
        ("lightning",),
        "delimited",
        "the table of Lightning's `CSVLogger`",
        ("lightning==2.6.6",),
        ("lightning",),
    ),
    Format(
        ("keras",),
        "delimited",
        "the table of `CSVLogger`, or a `History` saved as JSON",
        ("keras==3.15.1",),
        ("keras", "hdf5"),
    ),
    Format(("ultralytics",), "delimited", "`results.csv`"),
    Format(
        ("csv", "tsv"),
        "delimited",
        "any other table with a header; comma, semicolon, tab or blanks between cells; one column a series",
        ("torch==2.13.0",),
        ("tensors",),
    ),
    Format(("jsonl",), "jsonl", "one object a line; nested objects become names with `/`"),
    Format(
        ("mmengine",),
        "jsonl",
        "`vis_data/scalars.json` of the `Runner`; its copy `<time>.json` is left out, a resumed run is joined",
        ("mmengine==0.10.7",),
        ("mmengine",),
    ),
    Format(
        ("llama-factory",),
        "jsonl",
        "`trainer_log.jsonl`; `trainer_state.json` beside it is the same run",
        ("llamafactory==0.9.5", "transformers==5.23.0"),
        ("llama-factory",),
    ),
    Format(("mmcv", "detectron2"), "jsonl", "JSON lines with the keys of these programs"),
    Format(
        ("evals-result",),
        "evals_result",
        "`evals_result` of XGBoost, LightGBM or CatBoost saved as JSON",
        ("xgboost-cpu==3.2.0", "lightgbm==4.7.0"),
        ("trees",),
    ),
    Format(("timm",), "delimited", "`summary.csv`, with the settings of `args.yaml`", ("timm==1.0.31",), ("timm",)),
    Format(
        ("json",),
        "json_columns",
        "one document with lists of numbers or of records",
    ),
    Format(
        ("sacred",),
        "json_columns",
        "`metrics.json` of the `FileStorageObserver`; how the run ended from `run.json`, settings from `config.json`",
        ("sacred==0.8.7",),
        ("sacred",),
    ),
    Format(
        ("ray-tune", "rllib"),
        "jsonl",
        "`result.json` of a trial, or its `progress.csv`: with the event file beside them they are one run",
        ("ray==2.60.0",),
        ("ray",),
    ),
    Format(
        ("stable-baselines3",),
        "delimited",
        "`progress.csv` and `progress.json` of its logger, which with `log.txt` and `monitor.csv` are one run",
        ("stable_baselines3==2.9.0",),
        ("stable_baselines",),
    ),
    Format(
        ("unreadable",),
        "unreadable",
        "offline experiments of Comet and Neptune, Orbax checkpoints, addresses of servers: named, with the command"
        " that exports them",
    ),
    Format(
        ("clearml",),
        "clearml",
        "the folder `offline-ID/` of an offline task, or its archive: scalars, and the settings from `task.json`",
        ("clearml==2.1.12",),
        ("clearml",),
    ),
    Format(
        ("tidy",),
        "tidy",
        "the rows that `ingest` writes, as CSV or JSON lines; where they say which format they came from, reports do,"
        " too",
        basis="tests",
    ),
    Format(
        ("tidy",),
        "tidy_parquet",
        "the same rows as Parquet, also of other programs, with the extra `parquet`",
        ("pyarrow==26.0.1",),
        basis="tests",
    ),
    Format(("tidy",), "tidy_sqlite", "the same rows as an SQLite database", basis="tests"),
    Format(
        ("text",),
        "text",
        "a console log: numbers beside names, in most ways of writing them; progress bars; printed tables",
        ("tqdm==4.70.1",),
        ("text", "consoles", "wandb"),
    ),
    Format(
        ("xgboost", "lightgbm"),
        "text",
        "consoles of these programs",
        ("xgboost-cpu==3.2.0", "lightgbm==4.7.0"),
        ("trees",),
    ),
    Format(
        ("keras-console", "huggingface-console", "nanogpt"),
        "text",
        "consoles of these programs",
        ("keras==3.15.1", "transformers==5.23.0"),
        ("keras", "huggingface", "text"),
    ),
    Format(
        (
            *(
                "fairseq",
                "opennmt",
                "torchtitan",
                "torchtune",
                "mmengine-console",
                "composer",
                "lightning-console",
                "nemo",
            ),
            *("deepspeed", "skorch", "fastai"),
        ),
        "text",
        "consoles of these programs",
        (
            *("fairseq==0.12.2", "OpenNMT-py==3.5.1", "torchtitan==0.3.0", "torchtune==0.6.1", "mmengine==0.10.7"),
            *("mosaicml==0.32.1", "lightning==2.6.6", "nemo_toolkit==2.4.0", "deepspeed==0.19.8", "skorch==1.4.0"),
            "fastai==2.8.12",
        ),
        ("consoles",),
    ),
    Format(
        (
            *("megatron", "caffe", "darknet", "catboost", "stable-baselines3", "timm", "torchvision", "mmcv-console"),
            *("detectron2-console", "detectron", "maskrcnn-benchmark", "maxtext", "mlx", "nanochat", "llm.c", "paddle"),
            *("yolox", "ultralytics-console", "clu", "espnet", "icefall", "speechbrain", "accelerate", "axolotl"),
            *("unsloth", "llama-factory-console"),
        ),
        "text",
        "consoles of these programs",
    ),
    Format(
        ("recorder",),
        "recorder",
        "`record.jsonl` of our recorder, with the statistics of tensors; the files of several workers are one run",
        ("torch==2.13.0",),
        ("recorder",),
    ),
    Format(
        ("smdebug",),
        "smdebug",
        "the folder of a SageMaker Debugger trial: losses, scalars and tensors",
        ("smdebug==1.0.34",),
    ),
    Format(("tensors",), "", "a run that dumped tensors and logged nothing", basis="tests"),
    Format(("frame",), "frame", "a data frame given to `diagnose`", basis="tests"),
)
