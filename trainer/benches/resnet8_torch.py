"""Straight-through training of ResNet-8 in PyTorch, compiled, to hold `trishift train --preset resnet8` against.

The same network on CIFAR-10's shapes: ternary weights with a power of two for each group of 32 columns, int8 activations,
batch norm behind every convolution, crops and flips on the card, AdamW in one kernel, everything in bfloat16 that PyTorch's
autocast puts there, `torch.compile` around forward and loss, CUDA graphs around the step. Samples are random and lie on the
card: only the speed is looked at.

    python3 trainer/benches/resnet8_torch.py --batch 256 --steps 400
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import nn

GROUP = 32


def ternary(weight):
    """Trits times the power of two nearest to the mean of a group, by straight-through estimation; columns run over the
    window, then channels, and the last group of a row may be short."""
    rows = weight.permute(0, 2, 3, 1).flatten(1)
    columns = rows.shape[1]
    padding = -columns % GROUP
    groups = F.pad(rows, (0, padding)).view(rows.shape[0], -1, GROUP)
    counts = torch.full((groups.shape[1],), float(GROUP), device=weight.device)
    counts[-1] -= padding
    mean = groups.abs().sum(2, keepdim=True) / counts.view(1, -1, 1) + 1e-8
    quantized = (groups / mean).round().clamp(-1, 1) * torch.exp2(mean.log2().round())
    quantized = quantized.flatten(1)[:, :columns]
    back = quantized.view(weight.shape[0], *weight.shape[2:], weight.shape[1]).permute(0, 3, 1, 2)
    return weight + (back - weight).detach()


def int8(x, low):
    """Activations in steps of 1/32."""
    clamped = x.clamp(low * 127 / 32, 127 / 32)
    return clamped + ((clamped * 32).round() / 32 - clamped).detach()


class Convolution(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * (inputs * kernel * kernel) ** -0.5)
        self.norm = nn.BatchNorm2d(outputs)
        self.stride, self.padding = stride, kernel // 2

    def forward(self, x, relu):
        y = self.norm(F.conv2d(x, ternary(self.weight), stride=self.stride, padding=self.padding))
        return int8(y.relu(), 0) if relu else int8(y, -1)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = Convolution(inputs, outputs, 3, stride)
        self.second = Convolution(outputs, outputs, 3, 1)
        self.shortcut = Convolution(inputs, outputs, 1, stride) if stride > 1 else None

    def forward(self, x):
        other = x if self.shortcut is None else self.shortcut(x, False)
        return int8((self.second(self.first(x, True), False) + other).relu(), 0)


class ResNet8(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Convolution(3, 16, 3, 1)
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.last = nn.Parameter(torch.randn(10, 64, 1, 1) * 0.125)
        self.bias = nn.Parameter(torch.zeros(10))

    def forward(self, x):
        x = int8(self.blocks(self.first(x, True)).mean((2, 3), keepdim=True), 0)
        return F.conv2d(x, ternary(self.last)).flatten(1) + self.bias


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    device, batch = "cuda", options.batch
    images = torch.randint(0, 256, (50_000, 3, 40, 40), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 10, (50_000,), device=device)
    model = ResNet8().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.004, device=device), fused=True, capturable=True)

    @torch.compile(mode="max-autotune-no-cudagraphs")
    def loss_of(samples, crop, flip, of):
        rows = crop[:, :1] + torch.arange(32, device=device)
        columns = crop[:, 1:] + torch.arange(32, device=device)
        columns = torch.where(flip[:, None], columns.flip(1), columns)
        numbers = torch.arange(batch, device=device)
        x = samples[numbers[:, None, None, None], torch.arange(3, device=device)[:, None, None],
                    rows[:, None, :, None], columns[:, None, None, :]]
        x = ((x.float() - 128) / 32).to(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            logits = model(x)
        return F.cross_entropy(logits.float(), of)

    indices = torch.zeros(batch, dtype=torch.long, device=device)

    def step():
        crop = torch.randint(0, 9, (batch, 2), device=device)
        flip = torch.rand(batch, device=device) < 0.5
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(images[indices], crop, flip, labels[indices])
        loss.backward()
        optimizer.step()
        return loss

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(12):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    order = torch.randperm(50_000, device=device)
    per_epoch = 50_000 // batch

    def run(steps):
        for number in range(steps):
            at = number % per_epoch * batch
            indices.copy_(order[at:at + batch])
            graph.replay()
        torch.cuda.synchronize()

    run(50)
    began = time.perf_counter()
    run(options.steps)
    seconds = time.perf_counter() - began
    print(json.dumps({
        "samples_per_second": batch * options.steps / seconds,
        "milliseconds_per_step": 1e3 * seconds / options.steps,
        "loss": loss.item(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
    }))


if __name__ == "__main__":
    main()
