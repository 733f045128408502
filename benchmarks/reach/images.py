"""Vision models that compute less for an image, in the manner in which people publish them:
small, random.

`FORMS`: name → function that returns (model, batches). Each is written by hand after what such a
model does, not copied.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.reach.mixtures import EXPERTS, TOP, WIDTH, Form, mlp

CLASSES, SIDE, PATCH, CHANNELS = 5, 16, 4, 8


def conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    layers = (
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )
    return nn.Sequential(*layers)


def head(channels: int) -> nn.Sequential:
    """A classifier over an image."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class BranchyEntropy(nn.Module):
    """BranchyNet for one image: leaves where the entropy of a branch is low."""

    def __init__(self, threshold: float = 1.603) -> None:
        super().__init__()
        self.stages = nn.ModuleList([conv(3, 8), conv(8, 16, 2), conv(16, 32, 2)])
        self.branches = nn.ModuleList([head(8), head(16), head(32)])
        self.threshold = threshold

    def forward(self, x):
        for i, stage in enumerate(self.stages):
            x = stage(x)
            y = self.branches[i](x)
            if self.training or i == len(self.stages) - 1:
                continue
            p = F.softmax(y, dim=1)
            entropy = -torch.sum(p * torch.log(p + 1e-9))
            if entropy.item() < self.threshold:
                return y
        return y


class HardGate(nn.Module):
    """SkipNet's feed-forward gate: 1 where the block is to run."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, 1)

    def forward(self, x):
        prob = torch.sigmoid(self.linear(self.pool(x).flatten(1)))
        return (prob > 0.5).float().view(-1, 1, 1, 1), prob


class SkipResNet(nn.Module):
    """SkipNet: masks of the batch, a gate before each block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = conv(3, CHANNELS), head(CHANNELS)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(CHANNELS, CHANNELS), conv(CHANNELS, CHANNELS)) for _ in range(3)
        )
        self.gates = nn.ModuleList(HardGate(CHANNELS) for _ in range(3))

    def forward(self, x):
        x = self.stem(x)
        for block, gate in zip(self.blocks, self.gates, strict=True):
            mask, _ = gate(x)
            x = mask * block(x) + (1 - mask) * x
        return self.fc(x)


class BlockDrop(nn.Module):
    """BlockDrop: one policy network decides about all blocks at once."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = conv(3, CHANNELS), head(CHANNELS)
        self.blocks = nn.ModuleList(conv(CHANNELS, CHANNELS) for _ in range(4))
        self.policy_net = nn.Sequential(
            nn.Conv2d(3, 4, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)
        )

    def forward(self, x):
        policy = (torch.sigmoid(self.policy_net(x)) > 0.5).float()
        h = self.stem(x)
        for i, block in enumerate(self.blocks):
            action = policy[:, i].view(-1, 1, 1, 1)
            h = F.relu(h + action * block(h))
        return self.fc(h)


class MultiScale(nn.Module):
    """MSDNet: two scales side by side, a classifier after each step, exits for one image."""

    def __init__(self, threshold: float = 0.235) -> None:
        super().__init__()
        self.fine = nn.ModuleList([conv(3, 8), conv(8, 8), conv(8, 8)])
        self.coarse = nn.ModuleList([conv(3, 8, 2), conv(16, 8), conv(16, 8)])
        self.down = nn.ModuleList([nn.Identity(), conv(8, 8, 2), conv(8, 8, 2)])
        self.classifiers = nn.ModuleList(head(8) for _ in range(3))
        self.threshold = threshold

    def forward(self, x):
        fine, coarse = self.fine[0](x), self.coarse[0](x)
        for step in range(3):
            if step > 0:
                coarse = self.coarse[step](torch.cat([coarse, self.down[step](fine)], dim=1))
                fine = self.fine[step](fine)
            logits = self.classifiers[step](coarse)
            if step < 2 and F.softmax(logits, dim=1).max() >= self.threshold:
                break
        return logits


class ConvExperts(nn.Module):
    """An image goes to one of four convolutional experts."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = conv(3, CHANNELS), head(CHANNELS)
        self.router = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, EXPERTS)
        )
        self.experts = nn.ModuleList(conv(CHANNELS, CHANNELS) for _ in range(EXPERTS))

    def forward(self, x):
        x = self.stem(x)
        gates = self.router(x).softmax(dim=1)
        score, index = gates.max(dim=1)
        y = torch.zeros_like(x)
        for e in range(EXPERTS):
            sel = index == e
            if sel.sum() == 0:
                continue
            y[sel] = self.experts[e](x[sel]) * score[sel].view(-1, 1, 1, 1)
        return self.fc(x + y)


class Attention(nn.Module):
    """timm's attention, and what the class token looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        units, tokens, width = x.shape
        q, k, v = (
            self.qkv(x).reshape(units, tokens, 3, 4, width // 4).permute(2, 0, 3, 1, 4).unbind(0)
        )
        attn = ((q * (width // 4) ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
        out = (attn @ v).transpose(1, 2).reshape(units, tokens, width)
        return self.proj(out), attn[:, :, 0, 1:].mean(1)


class PatchExperts(nn.Module):
    """V-MoE's layer: the tokens of all images, top 2."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        flat = x.flatten(0, 1)
        values, indices = torch.topk(self.gate(flat), TOP, dim=-1)
        values = F.softmax(values, dim=-1)
        out = torch.zeros_like(flat)
        for k in range(TOP):
            for e, expert in enumerate(self.experts):
                chosen = indices[:, k] == e
                if chosen.any():
                    out[chosen] += values[chosen, k, None] * expert(flat[chosen])
        return out.view_as(x)


class SequenceExperts(nn.Module):
    """The class token chooses one expert for its whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        probs = self.gate(x[:, 0]).softmax(-1)
        best, which = probs.max(-1)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            rows = torch.nonzero(which == e).flatten()
            if len(rows):
                out[rows] = expert(x[rows]) * best[rows, None, None]
        return out


class VitBlock(nn.Module):
    """A block, whose attention's look from the class token is kept."""

    def __init__(self, feed_forward: nn.Module) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH), Attention()
        self.norm2, self.mlp = nn.LayerNorm(WIDTH), feed_forward

    def forward(self, x):
        attended, look = self.attn(self.norm1(x))
        x = x + attended
        return x + self.mlp(self.norm2(x)), look


class Vit(nn.Module):
    """A ViT on 16 patches and a class token."""

    def __init__(self, make=mlp) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH) * 0.02)
        self.blocks = nn.ModuleList([VitBlock(mlp()), VitBlock(make()), VitBlock(make())])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def embedded(self, image):
        x = self.patch_embed(image).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed

    def forward(self, image):
        x = self.embedded(image)
        for block in self.blocks:
            x, _ = block(x)
        return self.head(self.norm(x)[:, 0])


def batch_index_select(x, idx):
    """DynamicViT's own: rows of [units, tokens, width] by numbers [units, k], through a flat
    view."""
    units, tokens, width = x.size()
    offset = torch.arange(units, dtype=torch.long, device=x.device).view(units, 1) * tokens
    return x.reshape(units * tokens, width)[(idx + offset).reshape(-1)].reshape(units, -1, width)


class DynamicVit(Vit):
    """DynamicViT: a predictor scores the tokens, the best go on."""

    def __init__(self) -> None:
        super().__init__()
        self.score_predictor = nn.ModuleList(nn.Linear(WIDTH, 2) for _ in range(2))

    def forward(self, image):
        x = self.embedded(image)
        for i, block in enumerate(self.blocks):
            if i > 0:
                score = self.score_predictor[i - 1](x[:, 1:]).log_softmax(dim=-1)[:, :, 0]
                keep = int(0.7**i * (SIDE // PATCH) ** 2)
                best = torch.argsort(score, dim=1, descending=True)[:, :keep]
                cls = torch.zeros(len(x), 1, dtype=best.dtype, device=best.device)
                x = batch_index_select(x, torch.cat([cls, best + 1], dim=1))
            x, _ = block(x)
        return self.head(self.norm(x)[:, 0])


class EVit(Vit):
    """EViT: tokens that the class token looks at go on, the others are fused into one."""

    def forward(self, image):
        x = self.embedded(image)
        for block in self.blocks[:-1]:
            x, look = block(x)
            keep = int(0.7 * (x.shape[1] - 1))
            _, idx = torch.topk(look, keep, dim=1)
            index = idx.unsqueeze(-1).expand(-1, -1, WIDTH)
            others = x[:, 1:]
            rest = look.scatter(1, idx, 0.0)
            fused = (others * rest.unsqueeze(-1)).sum(1, keepdim=True)
            x = torch.cat([x[:, :1], torch.gather(others, 1, index), fused], dim=1)
        x, _ = self.blocks[-1](x)
        return self.head(self.norm(x)[:, 0])


class TwoResolutions(nn.Module):
    """A look at a quarter of the pixels; images that stay unclear are seen whole."""

    def __init__(self, threshold: float = 0.264) -> None:
        super().__init__()
        self.low = nn.Sequential(conv(3, 8), head(8))
        self.high = nn.Sequential(conv(3, 16), conv(16, 32, 2), head(32))
        self.threshold = threshold

    def forward(self, image):
        logits = self.low(F.avg_pool2d(image, 2))
        unclear = logits.softmax(1).amax(1) < self.threshold
        result = logits.clone()
        if unclear.any():
            result[unclear] = self.high(image[unclear])
        return result


def images(make: type[nn.Module], units: int = 6, batches: int = 3) -> Form:
    """A form of a vision model."""
    return lambda: (make(), [torch.randn(units, 3, SIDE, SIDE) for _ in range(batches)])


class PatchMoeVit(Vit):
    """V-MoE."""

    def __init__(self) -> None:
        super().__init__(PatchExperts)


class SequenceMoeVit(Vit):
    """Experts by class token."""

    def __init__(self) -> None:
        super().__init__(SequenceExperts)


FORMS: dict[str, Form] = {
    "BranchyNet, entropy, one image": images(BranchyEntropy, units=1, batches=12),
    "SkipNet, hard gates beside the blocks": images(SkipResNet),
    "BlockDrop, one policy for all blocks": images(BlockDrop),
    "MSDNet, two scales, one image": images(MultiScale, units=1, batches=12),
    "convolutional experts, one an image": images(ConvExperts),
    "V-MoE, tokens of images": images(PatchMoeVit),
    "experts by class token": images(SequenceMoeVit),
    "DynamicViT, batch_index_select": images(DynamicVit),
    "EViT, others fused into one": images(EVit),
    "two resolutions, hard images whole": images(TwoResolutions),
}
