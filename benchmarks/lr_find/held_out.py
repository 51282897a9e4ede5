"""Trainings that were first swept when the search was finished: nothing in it was chosen by them."""

from __future__ import annotations

from lr_find.tasks import (
    AUTOENCODER,
    LINEAR,
    TASKS,
    Task,
    build_cnn,
    build_mlp,
    build_recurrent,
    build_transformer,
)

HELD_OUT: dict[str, Task] = {
    task.name: task
    for task in (
        Task("clusters-mlp-momentum", "clusters", build_mlp(48, 48), "momentum", 32),
        Task("digits-mlp-rmsprop", "digits", build_mlp(96), "rmsprop"),
        Task("digits-cnn-sgd", "digits", build_cnn(norm=True), "sgd", 48),
        Task("shapes-cnn-rmsprop", "shapes", build_cnn(), "rmsprop", 32),
        Task("adding-rnn-adam", "adding", build_recurrent("RNN"), "adam", 32),
        Task("waves-gru-sgd", "waves", build_recurrent("GRU"), "momentum", 32),
        Task("mixtures-autoencoder-momentum", "low_rank", AUTOENCODER, "momentum"),
        Task("moons-deep-tanh-adamw", "moons", build_mlp(*(24,) * 5, function="tanh"), "adamw", 32),
        Task("cancer-batchnorm-sgd", "cancer", build_mlp(32, 32, norm="batch"), "sgd", 32),
        Task("friedman-layernorm-adam", "friedman", build_mlp(48, 48, norm="layer"), "adam"),
        Task("friedman-linear-momentum", "friedman", LINEAR, "momentum"),
        Task("tokens-transformer-momentum", "markov", build_transformer(), "momentum", 16),
    )
}
EVERY = {**TASKS, **HELD_OUT}
