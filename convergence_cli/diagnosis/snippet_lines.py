"""Lines of code by framework and change: data. ``{value}`` is the new value; other names are those of the user.

``key=value`` is for one value of a key, ``key`` for any. Names that every script has under some name: ``model``,
``optimizer``, ``loader``, ``train_set``, ``loss``, ``x``, ``y``, ``steps``.
"""

from __future__ import annotations

from collections.abc import Mapping

from convergence_cli.diagnosis.frameworks import HUGGINGFACE, KERAS, LIGHTNING, PYTORCH, XGBOOST

_HE = """for module in model.modules():
    if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
        torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")"""
_XAVIER = """for module in model.modules():
    if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
        torch.nn.init.xavier_normal_(module.weight)"""
_ZERO_BIAS = """for name, parameter in model.named_parameters():
    if name.endswith("bias"):
        torch.nn.init.zeros_(parameter)"""
_FINITE = """if all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None):
    optimizer.step()"""
_BALANCED = """counts = torch.bincount(y_train).float()
weight = counts.sum() / (len(counts) * counts.clamp(min=1))
loss = torch.nn.CrossEntropyLoss(weight=weight)"""
_SAMPLER = """odds = 1 / torch.bincount(y_train).clamp(min=1)[y_train].double()
sampler = torch.utils.data.WeightedRandomSampler(odds, len(odds))
loader = torch.utils.data.DataLoader(train_set, batch_size=loader.batch_size, sampler=sampler)"""
_STANDARD = """mean, std = x_train.mean(0), x_train.std(0) + 1e-8
x = (x - mean) / std  # for training, validation and use alike"""
_TARGETS = """mean, std = y_train.mean(0), y_train.std(0) + 1e-8
y = (y - mean) / std  # a prediction is then output * std + mean"""
_WARM = """warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters={value})
# warm.step() after each optimizer.step()"""
_COSINE = "schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)"
_STOP = """if val_loss < best:
    best, waited = val_loss, 0
    torch.save(model.state_dict(), "best.pt")
else:
    waited += 1
stop = waited > {value}  # then go back to best.pt"""

LINES: Mapping[tuple[str, str], str] = {
    (PYTORCH, "learning_rate"): 'for group in optimizer.param_groups:\n    group["lr"] = {value}',
    (PYTORCH, "optimizer=Adam"): "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)",
    (PYTORCH, "beta2"): 'for group in optimizer.param_groups:\n    group["betas"] = (group["betas"][0], {value})',
    (PYTORCH, "batch_size"): "loader = torch.utils.data.DataLoader(train_set, batch_size={value}, shuffle=True)",
    (PYTORCH, "epochs"): "epochs = {value}",
    (PYTORCH, "max_steps"): "steps = {value}",
    (PYTORCH, "warmup_steps"): _WARM,
    (PYTORCH, "lr_schedule=cosine"): _COSINE,
    (PYTORCH, "gradient_clip_norm"): "torch.nn.utils.clip_grad_norm_(model.parameters(), {value})  # before the step",
    (PYTORCH, "activation=relu"): "activation = torch.nn.ReLU()  # in place of each sigmoid and tanh between layers",
    (PYTORCH, "activation=leaky_relu"): "activation = torch.nn.LeakyReLU(0.01)  # in place of each ReLU",
    (PYTORCH, "weight_init=he"): _HE,
    (PYTORCH, "weight_init=xavier"): _XAVIER,
    (PYTORCH, "bias_init=zeros"): _ZERO_BIAS,
    (PYTORCH, "normalization=layer"): (
        "norm = torch.nn.LayerNorm(width)  # after each hidden layer, before its function"
    ),
    (PYTORCH, "normalization=qk"): (
        "q, k = torch.nn.functional.normalize(q, dim=-1), torch.nn.functional.normalize(k, dim=-1)"
    ),
    (PYTORCH, "dropout"): "dropout = torch.nn.Dropout({value})",
    (PYTORCH, "weight_decay"): 'for group in optimizer.param_groups:\n    group["weight_decay"] = {value}',
    (PYTORCH, "early_stopping"): _STOP,
    (PYTORCH, "class_weight=balanced"): _BALANCED,
    (PYTORCH, "sampling=balanced"): _SAMPLER,
    (PYTORCH, "input_normalization=standard"): _STANDARD,
    (PYTORCH, "target_normalization=standard"): _TARGETS,
    (PYTORCH, "output=logits"): (
        "output = model(x)  # without softmax: cross_entropy applies it\n"
        "loss = torch.nn.functional.cross_entropy(output, y)"
    ),
    (PYTORCH, "loss=cross_entropy"): (
        "loss = torch.nn.functional.cross_entropy(model(x), y)  # minimised; y are class numbers"
    ),
    (PYTORCH, "loss=mse"): "loss = torch.nn.functional.mse_loss(model(x), y)  # minimised; both of one shape",
    (PYTORCH, "z_loss"): "loss = loss + {value} * torch.logsumexp(output, -1).pow(2).mean()",
    (PYTORCH, "zero_grad"): "optimizer.zero_grad()  # before each loss.backward()",
    (PYTORCH, "trainable=all"): (
        "model.requires_grad_(True)\n"
        'optimizer.param_groups[0]["params"] = list(model.parameters())'
    ),
    (PYTORCH, "precision=bf16"): 'with torch.autocast(x.device.type, dtype=torch.bfloat16):\n    output = model(x)',
    (PYTORCH, "skip_nonfinite"): _FINITE,
    (PYTORCH, "resume_from_step"): "# load the checkpoint of step {value}, or the last one before it",
    (PYTORCH, "skip_batches"): "batches = itertools.islice(iter(loader), {value}, None)",
    (PYTORCH, "hidden_width"): "width = {value}",
    (PYTORCH, "gradient_staleness"): "loss.backward()\noptimizer.step()  # of the same batch, on the same weights",
    (PYTORCH, "replicas=broadcast"): (
        "for tensor in model.state_dict().values():\n"
        "    torch.distributed.broadcast(tensor, src=0)"
    ),
    (PYTORCH, "inputs=drop-nonfinite"): "keep = torch.isfinite(x).flatten(1).all(1)\nx, y = x[keep], y[keep]",
    (PYTORCH, "inputs=repair"): (
        "spread = x_train.flatten(1).std(0)\n"
        "lost = (spread == 0).nonzero()  # features that never change"
    ),
    (PYTORCH, "labels=repair"): (
        "with torch.no_grad():\n"
        '    each = torch.nn.functional.cross_entropy(model(x_train), y_train, reduction="none")\n'
        "suspects = each.topk(min(50, len(each))).indices  # read these"
    ),
    (PYTORCH, "split=by-group"): (
        "splitter = sklearn.model_selection.GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=0)\n"
        "train_rows, val_rows = next(splitter.split(x_all, y_all, groups))"
    ),
    (LIGHTNING, "gradient_clip_norm"): "trainer = Trainer(gradient_clip_val={value})",
    (LIGHTNING, "epochs"): "trainer = Trainer(max_epochs={value})",
    (LIGHTNING, "max_steps"): "trainer = Trainer(max_steps={value})",
    (LIGHTNING, "precision=bf16"): 'trainer = Trainer(precision="bf16-mixed")',
    (LIGHTNING, "early_stopping"): (
        'best = ModelCheckpoint(monitor="val_loss")\n'
        'trainer = Trainer(callbacks=[EarlyStopping("val_loss", patience={value}), best])'
    ),
    (LIGHTNING, "learning_rate"): (
        "def configure_optimizers(self):\n"
        "    return torch.optim.AdamW(self.parameters(), lr={value})"
    ),
    (LIGHTNING, "zero_grad"): "self.optimizers().zero_grad()  # with manual optimization, before manual_backward()",
    (HUGGINGFACE, "learning_rate"): "args = TrainingArguments(learning_rate={value})",
    (HUGGINGFACE, "batch_size"): "args = TrainingArguments(per_device_train_batch_size={value})",
    (HUGGINGFACE, "epochs"): "args = TrainingArguments(num_train_epochs={value})",
    (HUGGINGFACE, "max_steps"): "args = TrainingArguments(max_steps={value})",
    (HUGGINGFACE, "warmup_steps"): "args = TrainingArguments(warmup_steps={value})",
    (HUGGINGFACE, "lr_schedule"): "args = TrainingArguments(lr_scheduler_type={value})",
    (HUGGINGFACE, "gradient_clip_norm"): "args = TrainingArguments(max_grad_norm={value})",
    (HUGGINGFACE, "weight_decay"): "args = TrainingArguments(weight_decay={value})",
    (HUGGINGFACE, "beta2"): "args = TrainingArguments(adam_beta2={value})",
    (HUGGINGFACE, "precision=bf16"): "args = TrainingArguments(bf16=True)",
    (HUGGINGFACE, "early_stopping"): (
        'args = TrainingArguments(load_best_model_at_end=True, eval_strategy="steps")\n'
        "trainer.add_callback(EarlyStoppingCallback(early_stopping_patience={value}))"
    ),
    (HUGGINGFACE, "resume_from_step"): (
        'trainer.train(resume_from_checkpoint="checkpoint-{value}")  # or the last one before it'
    ),
    (KERAS, "learning_rate"): "model.optimizer.learning_rate = {value}",
    (KERAS, "optimizer=Adam"): "model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=model.loss)",
    (KERAS, "batch_size"): "model.fit(x_train, y_train, batch_size={value})",
    (KERAS, "epochs"): "model.fit(x_train, y_train, epochs={value})",
    (KERAS, "warmup_steps"): (
        "rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps={value})"
    ),
    (KERAS, "lr_schedule=cosine"): "rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)",
    (KERAS, "gradient_clip_norm"): "optimizer = keras.optimizers.Adam(global_clipnorm={value})",
    (KERAS, "activation=relu"): 'layer = keras.layers.Dense(units, activation="relu")',
    (KERAS, "activation=leaky_relu"): 'layer = keras.layers.Dense(units, activation="leaky_relu")',
    (KERAS, "weight_init=he"): 'layer = keras.layers.Dense(units, kernel_initializer="he_normal")',
    (KERAS, "weight_init=xavier"): 'layer = keras.layers.Dense(units, kernel_initializer="glorot_normal")',
    (KERAS, "bias_init=zeros"): 'layer = keras.layers.Dense(units, bias_initializer="zeros")',
    (KERAS, "normalization=layer"): "layer = keras.layers.LayerNormalization()",
    (KERAS, "dropout"): "layer = keras.layers.Dropout({value})",
    (KERAS, "weight_decay"): "optimizer = keras.optimizers.AdamW(weight_decay={value})",
    (KERAS, "early_stopping"): "callback = keras.callbacks.EarlyStopping(patience={value}, restore_best_weights=True)",
    (KERAS, "class_weight=balanced"): (
        "counts = np.bincount(y_train)\n"
        "model.fit(x_train, y_train, class_weight=dict(enumerate(counts.sum() / (len(counts) * counts))))"
    ),
    (KERAS, "input_normalization=standard"): (
        "normalize = keras.layers.Normalization()\n"
        "normalize.adapt(x_train)  # the first layer of the model"
    ),
    (KERAS, "target_normalization=standard"): (
        "mean, std = y_train.mean(0), y_train.std(0)\n"
        "y_train = (y_train - mean) / std"
    ),
    (KERAS, "output=logits"): (
        "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)  # last layer without softmax"
    ),
    (KERAS, "loss=cross_entropy"): "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    (KERAS, "loss=mse"): 'model.compile(loss="mse")',
    (KERAS, "trainable=all"): "model.trainable = True  # then compile again",
    (KERAS, "precision=bf16"): 'keras.mixed_precision.set_global_policy("mixed_bfloat16")',
    (KERAS, "hidden_width"): "units = {value}",
    (XGBOOST, "learning_rate"): 'params["eta"] = {value}',
    (XGBOOST, "epochs"): "booster = xgboost.train(params, dtrain, num_boost_round={value})",
    (XGBOOST, "early_stopping"): (
        'booster = xgboost.train(params, dtrain, evals=[(dval, "val")], early_stopping_rounds={value})'
    ),
    (XGBOOST, "class_weight=balanced"): 'params["scale_pos_weight"] = (y_train == 0).sum() / (y_train == 1).sum()',
}  # fmt: skip
