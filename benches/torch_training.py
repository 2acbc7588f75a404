"""How fast PyTorch trains the networks of this crate on the CPU.

Each stage of the default cascade has the layers, batch and step that it has in `train`: noise and noise levels, the network both ways, clipping,
AdamW, weights back at unit variance, and their average. Pictures are random and in memory, already in bands, and a further stage finds its condition
ready-made; `train` computes both in each step. `--precision bf16` is autocast: activations are bf16 too, where `train` keeps them in f32. Activations
are `[batch, channels, rows, columns]` in the memory format channels_last.

    python3 torch_training.py --stage 1 --precision bf16 --compile
"""

import argparse
import ctypes
import json
import math
import os
import statistics
import sys
import time

# Large pages for large tensors, where the system leaves the choice to programs.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch
import torch.nn.functional as F
from torch import nn

BATCH = 32
LEARNING_RATE = 2e-2
BETAS = (0.9, 0.99)
LARGEST_GRADIENT = 1.0
AVERAGE_KEEPS = 0.9995
WARM_UP = 5
# Processors that compute bf16 with f32's instructions took up to 20 s a step (benches/RESULTS.md): there, fewer are timed.
FEWEST = 5
WARM_UP_SECONDS = 30
SECONDS = 60

EPSILON = 1e-4
LARGEST_ACTIVATION = 256.0
# The root mean square of SiLU under a standard normal. Its reciprocal is a factor of the kernel that follows, which is one pass less.
ACTIVATION_SIZE = 0.596
# Where main path and branch meet (mp_sum with t = 0.3).
MAIN, BRANCH = (share / math.hypot(0.7, 0.3) for share in (0.7, 0.3))

STAGES = {
    1: dict(side=16, bands=12, condition=0, widths=(96, 192), depth=2, head_width=64, embedding=256),
    2: dict(side=32, bands=48, condition=48, widths=(64, 96, 96), depth=2, head_width=0, embedding=128),
}


class Kernel(nn.Module):
    """A convolution or matrix without bias, whose weights are brought to unit norm, times `scale`, on each use."""

    def __init__(self, inputs, outputs, side, scale=1.0):
        super().__init__()
        self.shape = (outputs, side, side, inputs)
        # One row for each output channel, in the order of channels_last.
        self.weight = nn.Parameter(torch.randn(outputs, side * side * inputs))
        self.size = math.sqrt(side * side * inputs)
        self.register_buffer("scale", torch.full((outputs, 1), scale))

    def matrix(self):
        if torch.compiler.is_compiling():
            # What `_weight_norm` does, which would stand apart.
            return self.weight * (self.scale / torch.linalg.vector_norm(self.weight, dim=1, keepdim=True).add(EPSILON))
        return torch._weight_norm(self.weight, self.scale, 0)

    def forward(self, x):
        weight = self.matrix().view(self.shape).permute(0, 3, 1, 2)
        return F.conv2d(x, weight, padding=self.shape[1] // 2)


class Block(nn.Module):
    def __init__(self, encoder, inputs, outputs, embedding, head_width):
        super().__init__()
        self.encoder, self.head_width = encoder, head_width
        self.first = Kernel(outputs if encoder else inputs, outputs, 3, 1 / ACTIVATION_SIZE)
        self.second = Kernel(outputs, outputs, 3, BRANCH / ACTIVATION_SIZE)
        self.modulation = Kernel(embedding, outputs, 1, 1 / ACTIVATION_SIZE)
        self.modulation_gain = nn.Parameter(torch.zeros(1))
        self.shortcut = Kernel(inputs, outputs, 1) if inputs != outputs else None
        if head_width:
            self.query_key_value = Kernel(outputs, 3 * outputs, 1)
            self.projection = Kernel(outputs, outputs, 1, BRANCH)

    def forward(self, x, embedding):
        main = x
        if self.encoder:
            main = normalise(self.shorten(main))
        branch = self.first(F.silu(main))
        modulation = F.linear(embedding, self.modulation.matrix()) * self.modulation_gain + 1
        branch = self.second(F.silu(branch * modulation[:, :, None, None].to(branch.dtype)))
        if not self.encoder:
            main = self.shorten(main)
        x = blend(main, branch)
        return blend(x, self.projection(self.attend(x))) if self.head_width else x

    def shorten(self, x):
        return x if self.shortcut is None else self.shortcut(x)

    def attend(self, x):
        batch, channels, rows, columns = x.shape
        mixed = self.query_key_value(x).permute(0, 2, 3, 1).view(batch, rows * columns, 3, -1, self.head_width)
        query, key, value = normalise(mixed, -1).permute(2, 0, 3, 1, 4)
        # For the few positions that there are, quicker than scaled_dot_product_attention.
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.head_width)
        attended = scores.softmax(-1).to(value.dtype) @ value
        return attended.transpose(1, 2).reshape(batch, rows, columns, channels).permute(0, 3, 1, 2)


def normalise(x, dim=1):
    size = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return x / torch.add(EPSILON, size, alpha=1 / math.sqrt(x.shape[dim]))


def blend(main, branch):
    """The branch has its factor already."""
    return F.hardtanh_(torch.add(branch, main, alpha=MAIN), -LARGEST_ACTIVATION, LARGEST_ACTIVATION)


def join(x, skip, doubles):
    total = x.shape[1] + skip.shape[1]
    x = x * math.sqrt(total / 2 / x.shape[1])
    if doubles:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    return torch.cat([x, skip * math.sqrt(total / 2 / skip.shape[1])], 1)


class UNet(nn.Module):
    def __init__(self, bands, condition, widths, depth, head_width, embedding, **_):
        super().__init__()
        coarsest, self.depth = len(widths) - 1, depth

        def block(encoder, level, inputs):
            return Block(encoder, inputs, widths[level], embedding, head_width if level == coarsest else 0)

        self.stem = Kernel(bands + condition + 1, widths[0], 3)
        self.embed = Kernel(embedding, embedding, 1)
        width, self.down, self.up = widths[0], nn.ModuleList(), nn.ModuleList()
        for level in range(len(widths)):
            for _ in range(depth):
                self.down.append(block(True, level, width))
                width = widths[level]
        self.middle = block(False, coarsest, width)
        for level in range(coarsest, -1, -1):
            for _ in range(depth):
                self.up.append(block(False, level, width + widths[level]))
                width = widths[level]
        self.head = Kernel(widths[0], bands, 3)
        self.head_gain = nn.Parameter(torch.zeros(1))
        self.register_buffer("frequencies", 0.5 * 128.0 ** torch.linspace(0, 1, embedding // 2))

    def forward(self, x, labels):
        """The output, and the factor that it is still to be multiplied by."""
        angles = labels[:, None] * self.frequencies
        waves = math.sqrt(2) * torch.cat([angles.cos(), angles.sin()], 1)
        embedding = F.silu(F.linear(waves, self.embed.matrix()))

        x = self.stem(x)
        skips = []
        for index, block in enumerate(self.down):
            if index > 0 and index % self.depth == 0:
                x = F.avg_pool2d(x, 2)
            x = block(x, embedding)
            skips.append(x)
        x = self.middle(x, embedding)
        for index, block in enumerate(self.up):
            x = block(join(x, skips.pop(), index > 0 and index % self.depth == 0), embedding)
        return self.head(x), self.head_gain


class Training:
    def __init__(self, stage, precision, compiles):
        shape = STAGES[stage]
        self.short = precision == "bf16"
        self.unet = UNet(**shape)
        self.parameters = list(self.unet.parameters())
        self.parameter_count = sum(parameter.numel() for parameter in self.parameters)
        kernels = [module for module in self.unet.modules() if isinstance(module, Kernel)]
        self.weights = [(kernel.weight.detach(), kernel.size) for kernel in kernels]
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self.optimiser = adamw(self.parameters)

        side, bands, condition = shape["side"], shape["bands"], shape["condition"]
        self.bands = torch.randn(BATCH, side, side, bands)
        # What the network sees behind the bands: the condition, and ones that stand in for all biases.
        self.others = torch.cat([torch.randn(BATCH, side, side, condition), torch.ones(BATCH, side, side, 1)], 3)
        self.deviations = torch.linspace(1, 0.1, bands)
        self.loss = torch.compile(self.plain_loss) if compiles else self.plain_loss

    def plain_loss(self, noise, sigmas):
        """The square error of the network's output against its target, each band's weighed by its c_out over their mean."""
        total = (sigmas**2 + self.deviations**2).sqrt()
        skip, output = (self.deviations / total) ** 2, sigmas * self.deviations / total
        root = (output / output.mean(3, keepdim=True)).sqrt()
        noisy = torch.addcmul(self.bands, noise, sigmas)
        x = torch.cat([noisy / total, self.others], 3).permute(0, 3, 1, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.short):
            found, gain = self.unet(x, sigmas.view(-1).log() / 4)
        target = torch.addcmul(self.bands * (root / output), noisy, -skip * root / output)
        return F.mse_loss(found.permute(0, 2, 3, 1) * (gain * root), target)

    def step(self):
        sigmas = (1.4 * torch.randn(BATCH, 1, 1, 1) - 0.5).exp()
        self.loss(torch.randn_like(self.bands), sigmas).backward()
        nn.utils.clip_grad_norm_(self.parameters, LARGEST_GRADIENT, foreach=True)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for weight, size in self.weights:
                weight.mul_(size / torch.linalg.vector_norm(weight, dim=1, keepdim=True).add_(EPSILON))
            torch._foreach_lerp_(self.averages, self.parameters, 1 - AVERAGE_KEEPS)

    def seconds(self, steps):
        """The median time of a step, after a warm-up."""

        def timed(most, fewest, seconds):
            times = []
            while len(times) < fewest or (len(times) < most and sum(times) < seconds):
                start = time.perf_counter()
                self.step()
                times.append(time.perf_counter() - start)
            return times

        timed(WARM_UP, 1, WARM_UP_SECONDS)
        return statistics.median(timed(steps, min(FEWEST, steps), SECONDS))


def adamw(parameters):
    options = dict(lr=LEARNING_RATE, betas=BETAS, eps=1e-8, weight_decay=0.0)
    try:
        return torch.optim.AdamW(parameters, fused=True, **options)
    except RuntimeError:
        return torch.optim.AdamW(parameters, foreach=True, **options)


def keep_freed():
    """Makes glibc keep freed memory for the next step, as `train`'s allocator does: the kernel would clear each page again."""
    if sys.platform == "linux":
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 2**28)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", type=int, choices=STAGES, default=1)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--steps", type=int, default=30, help="steps to time")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compile", action="store_true", help="use torch.compile, which needs a C++ compiler")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    keep_freed()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    training = Training(arguments.stage, arguments.precision, arguments.compile)
    try:
        training.step()
    except Exception as error:
        if not arguments.compile:
            raise
        sys.exit(f"torch.compile does not work: {error}")
    seconds = training.seconds(arguments.steps)

    report = dict(
        stage=arguments.stage,
        precision=arguments.precision,
        compiled=arguments.compile,
        threads=arguments.threads,
        parameters=training.parameter_count,
        torch=torch.__version__,
        milliseconds=round(1000 * seconds, 1),
        pictures_per_second=round(BATCH / seconds, 1),
    )
    if arguments.json:
        print(json.dumps(report))
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in report.items()))


if __name__ == "__main__":
    main()
