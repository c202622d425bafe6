"""One run of `guidance.train.clip`: its data, student, teachers and how they meet in a step."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.context import cut
from guidance.conventions import resolve_device
from guidance.data import shards
from guidance.errors import FileError
from guidance.files.writing import atomic, make_folder
from guidance.train.clip import model, start
from guidance.train.clip.adversarial import Fooling, attack
from guidance.train.clip.loader import Batch, Loader
from guidance.train.clip.moments import Moments
from guidance.train.clip.objective import Lessons, Objective
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.sketches import Sketches, Subjects
from guidance.train.clip.teachers import Teachers, tokenize_all
from guidance.train.clip.warm import fit_hint, train_head
from guidance.train.loop.chunks import Chunks, Forward, Network
from guidance.train.loop.depthwise import fast_depthwise
from guidance.train.loop.log import Log

PART = 16  # pictures per CPU thread and pass
READ_PART = 128  # texts per CPU thread and pass
SKETCH_AFTER = 40  # steps, from which on the classes' mean pictures are worth drawing
SCALE_RATE = 1e-3  # least learning rate of the temperatures


class Trainer:
    """One run: data, student, teachers, optimiser, weight average and clock."""

    def __init__(self, options: ClipOptions) -> None:
        options.check()
        self.options = options
        self.device = resolve_device(options.device)
        self.config = model.read_config(options.model.architecture, options.model.init)
        data = shards.read(options.data)
        self.val = shards.read(options.val) if options.val else None
        make_folder(options.out)
        torch.manual_seed(options.seed)
        cpu = self.device.type == "cpu"
        self.chunks = Chunks(options.threads if cpu else 0)
        if cpu:
            torch.backends.cuda.enable_flash_sdp(False)  # its bfloat16 backward is slow on a CPU
        self.part = PART if cpu else -(-options.sampling.batch // options.sampling.accumulate)
        self.size = model.image_size(self.config)
        side = options.sampling.side or self.size
        self.loader = Loader(
            data, options.sampling, side, options.seed, self.chunks, self.device, self.part
        )
        self.tokens = tokenize_all(model.tokenizer(self.config), self.loader.texts)
        self.student = start.build(options, self.config).to(
            self.device, memory_format=torch.channels_last
        )
        if cpu and options.optimiser.precision == "bf16":
            fast_depthwise(self.student.network.visual)
        self.student.tune(options.model)
        groups = torch.from_numpy(self.loader.caption_groups()).to(self.device)
        self.teachers = Teachers(
            options, self.loader.texts, self.student, self.tokens, groups, self.chunks
        )
        self.objective = Objective(options)
        self.fooling = Fooling(options.loss.fooling)
        self.moments = Moments()
        self.sketches = Sketches(options.loss.sketches, self.size)
        self.start_optimiser(options.optimiser.head_factor)
        self.rng = torch.Generator(self.device)
        self.step, self.spent, self.warm = 0, 0.0, False
        if options.resume:
            self._resume()
        self.log = Log(options, self.device)

    def start_optimiser(self, head_factor: float, map_factor: float = 0.3) -> None:
        """Group the parameters by learning rate and weight decay; start the weight average.

        The map of a frozen text tower learns slowly by default, to stay near the identity.
        """
        given, groups = self.options.optimiser, {}
        for name, parameter in self.student.named_parameters():
            if not parameter.requires_grad:
                continue
            rate = map_factor if name.startswith("map") else 1.0
            if name.startswith(("network.visual.head", "network.visual.proj", "hint")):
                rate = head_factor
            elif not name.startswith(("network.visual", "map")):
                rate = given.text_factor
            if name.endswith("_scale"):
                rate = max(1.0, SCALE_RATE / given.rate)
            decay = given.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        self.optimiser = torch.optim.AdamW(
            [{"params": p, "factor": r, "weight_decay": d} for (r, d), p in groups.items()],
            lr=given.rate, betas=(0.9, 0.98), eps=1e-6, fused=True,
        )  # fmt: skip
        self.averaged = {k: v.clone() for k, v in self.student.state_dict().items()}

    def _resume(self) -> None:
        path = self.options.out / "state.pt"
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.averaged = state["averaged"]
            self.student.load_state_dict(state["student"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.fooling.kept = state["fooling"]
            self.sketches.state, self.moments.state = state["sketches"], state["moments"]
            self.step, self.spent, self.warm = (state[k] for k in ("step", "spent", "warm"))
        except Exception as error:  # pickle, zip and torch raise a dozen types
            raise FileError(f"resume: {path} does not fit these options: {error}") from None

    def look(self, images: Tensor, *, watch: bool = False) -> tuple[Forward, list[Tensor]]:
        """Run the image tower; `watch` keeps the parts for their own gradients."""
        parts = [p.clone().requires_grad_(watch) for p in images.split(self.part)]
        return self.forward(self.student.look, parts), parts

    def read(self, tokens: Tensor) -> Forward:
        """Run the text tower on `tokens` ``[T, L]``."""
        size = READ_PART if self.device.type == "cpu" else self.part
        return self.forward(self.student.read, tokens.to(self.device).split(size))

    def forward(self, network: Network, parts: Sequence[Tensor], *, learn: bool = True) -> Forward:
        """Run a tower on the `parts` of a batch, in the run's arithmetic."""
        bf16 = self.options.optimiser.precision == "bf16"
        dtype = torch.bfloat16 if bf16 else torch.float32
        keep = learn and self.options.sampling.accumulate == 1
        return self.chunks.forward(network, parts, dtype, keep=keep)

    def train_step(self, batch: Batch, done: float) -> dict[str, float]:
        """One optimiser step at fraction `done` of the run; returns what the log shows."""
        eps = self.options.loss.eps * min(1.0, 0.25 + done)
        self.rng.manual_seed(
            int(np.random.default_rng([self.options.seed, self.step]).integers(2**62))
        )
        batch = self.sketch(self.fooling.mix(batch, self.rng))
        lessons, extra = self.teachers.teach(batch, self.step, self.rng)
        weight = 0.5 if eps else 1.0
        seen, views = self.look(batch.images, watch=bool(eps))
        parts = self.learn(batch, seen, weight, lessons, extra)
        if self.sketches.count:
            plain = lessons.rows < len(batch.images) - batch.sketches
            images = F.normalize(seen.features[lessons.rows[plain], : self.student.dim], dim=-1)
            self.moments.add(images, lessons.logits[plain])
        if eps:
            grad = torch.cat([v.grad for v in views])
            length = eps * batch.images.shape[-1] / self.size  # per pixel, whatever the side
            moved = attack(batch.images, grad, length, self.step, self.rng)
            self.fooling.keep(moved, batch)
            more = self.learn(batch, self.look(moved)[0], weight, lessons, extra)
            parts |= {"attacked " + k: v for k, v in more.items() if k.startswith("to ")}
        self.update(done)
        return parts | {"scale": self.student.scale.item(), "rate": self.rate}

    def sketch(self, batch: Batch) -> Batch:
        """Add what the student draws itself, once it is known what the classes are like."""
        if not self.sketches.count or self.moments.batches < SKETCH_AFTER:
            return batch
        student = self.student

        def look(views: Tensor) -> Tensor:
            bf16 = self.options.optimiser.precision == "bf16"
            with torch.autocast(views.device.type, torch.bfloat16, enabled=bf16):
                return F.normalize(student.look(views).float()[:, : student.dim], dim=-1)

        with torch.no_grad():
            texts = student.place(self.teachers.class_embeddings(self.step))
        subjects = Subjects(
            self.moments.class_images(), texts, self.moments.centre, self.teachers.embed
        )
        return self.sketches.join(batch, look, subjects, self.chunks, self.step, self.rng)

    def learn(
        self, batch: Batch, seen: Forward, weight: float, lessons: Lessons, extra: Tensor | None
    ) -> dict[str, float]:
        """Add the gradient of `weight` times the loss on `seen` to the parameters.

        Args:
            batch: Captions and groups.
            seen: What the image tower makes of the pictures: ``[N, D + K]``.
            weight: Factor of the loss.
            lessons: Of the teachers.
            extra: Tokens of texts without pictures ``[E, L]``, or None.
        """
        tokens = self.tokens[batch.captions.cpu()]
        tokens = tokens if extra is None else torch.cat([tokens, extra])
        frozen = self.teachers.table
        with cut(self.student.network, tokens) as short:
            written = self.read(short) if frozen is None else None
            features = written.features if written else self.student.place(frozen[batch.captions])
            loss, parts = self.objective(self.student, seen.features, features, batch, lessons)
            (weight * loss).backward()
            seen.backward()
            if written:
                written.backward()
        return {"loss": loss.item(), **parts}

    def update(self, done: float) -> None:
        """Step the optimiser (linear warm-up, then cosine) and the weight average."""
        given = self.options.optimiser
        turn = np.pi * (done - given.warmup) / (1 - given.warmup)
        shape = done / given.warmup if done < given.warmup else 0.5 + 0.5 * np.cos(turn)
        self.rate = given.rate * max(float(shape), 0.01)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * group["factor"]
        nn.utils.clip_grad_norm_(self.student.parameters(), given.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        with torch.no_grad():
            decay = min(given.ema, (1 + self.step) / (10 + self.step))
            for key, value in self.student.state_dict().items():
                if value.is_floating_point():
                    self.averaged[key].lerp_(value, 1 - decay)
                else:
                    self.averaged[key].copy_(value)
        self.step += 1

    def save(self) -> None:
        """Write ``state.pt`` and the folder ``clip``, each file in one move."""
        state = {
            "student": self.student.state_dict(), "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(), "step": self.step, "spent": self.spent,
            "fooling": self.fooling.kept, "warm": self.warm,
            "sketches": self.sketches.state, "moments": self.moments.state,
        }  # fmt: skip
        with atomic(self.options.out / "state.pt") as path:
            torch.save(state, path)
        model.save_folder(self.config, self._exported(), self.options.out / "clip")

    def _exported(self) -> dict[str, Tensor]:
        return start.exported(self.student.network, self.averaged)

    def done(self) -> float:
        """Return the fraction of the run that lies behind; the first of several limits ends it."""
        given = self.options.optimiser
        pictures = given.epochs * len(self.loader.samples)
        steps = given.steps or round(pictures / self.options.sampling.batch)
        limits = []
        if given.minutes:
            limits.append(self.spent / 60 / given.minutes)
        if given.steps or not given.minutes:
            limits.append(self.step / steps if steps else 1.0)
        return max(limits)

    def run(self) -> None:
        """Train to the end of the schedule, with log lines and regular checkpoints."""
        options = self.options
        if options.head.head_views and not self.warm:
            train_head(self)
            self.start_optimiser(options.optimiser.head_factor)
            self.step, self.warm = 0, True
            self.save()
            self.log.check(0, self.config, self._exported(), self.val)
        if not self.step and not self.student.hinted and self.teachers.hints:
            fit_hint(self)
        begin, saved = time.perf_counter() - self.spent, self.spent
        for batch in self.loader.batches(self.step):
            self.spent = time.perf_counter() - begin
            done = self.done()
            if done >= 1:
                break
            parts = self.train_step(batch, done)
            self.log.step(self.step, done, parts)
            if time.perf_counter() - begin - saved > 60 * options.save_every:
                self.spent = saved = time.perf_counter() - begin
                self.save()
                self.log.check(self.step, self.config, self._exported(), self.val)
        self.save()
        self.log.check(self.step, self.config, self._exported(), self.val)
        self.log.finish(self.step, options.out / "clip")


def train(options: ClipOptions) -> None:
    """Run ``python -m guidance.train.clip``."""
    Trainer(options).run()
