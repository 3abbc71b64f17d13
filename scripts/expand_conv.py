#!/usr/bin/env python3
"""The dilated depthwise-separable block as a PyTorch module for YOLOv5, and its export for Atrous.

    x -> compress to c1 // 2 channels -> three dilated separable branches, beside them a residual 1x1 of x
      -> concat (branches first) -> fuse to c2 channels

Three readings of the block (`variant`): `listing` is the article's printed code with its defects repaired: there the last
1x1 convolution is built inside `forward`, so it is random at every call, is never trained, is in no state_dict, and gives
4 * c2 channels where c2 are expected. `literal` is the article's request word for word (5x5 d5, 7x7 d7, 9x9 d9, compress
and fuse separable), `rfb` its other reading (a dense separable k x k, then a separable 3x3 of dilation k).

In a YOLOv5 checkout
  1. This file as models/expand_conv.py.
  2. models/yolo.py: `from models.expand_conv import ExpandConv` at the top (parse_model looks the yaml's names up there; the
     folder models is not on the path when train.py runs), and in parse_model add ExpandConv to the set of modules whose first
     two arguments are channels,
         if m in {Conv, ..., SPPF, ExpandConv}:
             c1, c2 = ch[f], args[0]
             if c2 != no:  c2 = make_divisible(c2 * gw, 8)
             args = [c1, c2, *args[1:]]
     so that c1 comes from the layer before and c2 is scaled by the model's width.
  3. The model's yaml: behind SPP or SPPF in the backbone, with a 1x1 behind it,
         [-1, 1, SPPF, [1024, 5]],
         [-1, 1, ExpandConv, [1024, 'literal']],
         [-1, 1, Conv, [1024, 1, 1]],
     and every later layer number in the head (`from`, and Detect's list) that counts from the front goes up by two.

After training: `export(next(m for m in model.modules() if isinstance(m, ExpandConv)), "block.safetensors")`, then
`atrous run --block block.safetensors`. Batch norm's epsilon is read from the modules: YOLOv5 sets 1e-3 on all of them, whatever
they were built with.
Needs torch (Debian's python3-torch or PyPI's) and nothing else.
"""
import argparse
import array
import json
import math
import os
import pickle
import re
import struct
import sys
import warnings

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("expand_conv.py: torch is not installed; install python3-torch (apt) or torch (pip)")

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "hardswish": nn.Hardswish, "none": nn.Identity}
VARIANTS = ("listing", "literal", "rfb")


class Unit(nn.Module):
    """Convolution, batch norm, activation; padding d * (k - 1) / 2 keeps the map's size."""

    def __init__(self, c1, c2, k=1, d=1, g=1, bias=False, act="silu", eps=1e-3):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, padding=d * (k - 1) // 2, dilation=d, groups=g, bias=bias)
        self.bn = nn.BatchNorm2d(c2, eps=eps, momentum=0.03)
        self.act = ACTIVATIONS[act]()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Separable(nn.Module):
    """A depthwise unit, then a pointwise one."""

    def __init__(self, c1, c2, k=1, d=1, **unit):
        super().__init__()
        self.dw = Unit(c1, c1, k, d, g=c1, **unit)
        self.pw = Unit(c1, c2, **unit)

    def forward(self, x):
        return self.pw(self.dw(x))


class ExpandConv(nn.Module):
    """The block: [N, c1, H, W] -> [N, c2, H, W].

    variant: listing, literal or rfb; act: relu, silu (YOLOv5 v6), hardswish or none; eps: batch norm's (YOLOv5 1e-3).
    """

    def __init__(self, c1, c2, variant="literal", act="silu", eps=1e-3):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant '{variant}' is not one of {', '.join(VARIANTS)}")
        if act not in ACTIVATIONS:
            raise ValueError(f"act '{act}' is not one of {', '.join(ACTIVATIONS)}")
        if c1 < 2:
            raise ValueError(f"c1, the input's channels, is {c1}; the block halves them, give 2 or more")
        if c2 < 1:
            raise ValueError(f"c2, the output's channels, is {c2}; give 1 or more")
        if not (math.isfinite(eps) and eps >= 0):
            raise ValueError(f"eps is {eps}; give a finite number, 0 or more")
        self.settings = dict(variant=variant, act=act, bn_eps=repr(float(eps)), cin=str(c1), cout=str(c2))
        mid = c1 // 2
        unit = dict(act=act, eps=eps, bias=variant == "listing")
        if variant == "listing":
            self.compress = Unit(c1, mid, **unit)
            branches = [Separable(mid, c2, 3, d, **unit) for d in (2, 3, 4)]
            self.fuse = nn.Conv2d(4 * c2, c2, 1)
        else:
            self.compress = Separable(c1, mid, **unit)
            if variant == "literal":
                branches = [Separable(mid, c2, k, k, **unit) for k in (5, 7, 9)]
            else:
                branches = [
                    nn.Sequential(Separable(mid, mid, k, **unit), Separable(mid, c2, 3, k, **unit)) for k in (5, 7, 9)
                ]
            self.fuse = Separable(4 * c2, c2, **unit)
        self.branches = nn.ModuleList(branches)
        self.residual = Unit(c1, c2, **unit)

    def forward(self, x):
        y = self.compress(x)
        return self.fuse(torch.cat([*(branch(y) for branch in self.branches), self.residual(x)], 1))


def activations(block, x):
    """`input`, `output` and `act.<unit>` of one pass in evaluation mode, for `atrous verify --block`."""
    found, hooks = {"input": x}, []
    for name, module in block.named_modules():
        if isinstance(module, Unit):
            hooks.append(module.register_forward_hook(lambda _, __, y, name=name: found.__setitem__("act." + name, y)))
    training = block.training
    try:
        with torch.no_grad():
            found["output"] = block.eval()(x)
    finally:
        block.train(training)
        for hook in hooks:
            hook.remove()
    return found


def epsilon(block):
    """The epsilon of all the block's batch norms, which a training may have changed since they were built."""
    found = {module.eps for module in block.modules() if isinstance(module, nn.BatchNorm2d)}
    if len(found) != 1:
        raise ValueError(f"the batch norms have the epsilons {sorted(found)}; the export holds one, set them alike")
    return found.pop()


def export(block, path, sample=None):
    """Writes the block's state_dict as safetensors, with its settings in the metadata; with `sample`, an input
    [N, c1, H, W], also what every unit makes of it. A file of that name is replaced when all of the new one is there."""
    tensors = {name: value for name, value in block.state_dict().items() if not name.endswith("num_batches_tracked")}
    if sample is not None:
        tensors.update(activations(block, sample))
    # The format: eight bytes of length, a JSON header of types, shapes and offsets, the data.
    header, data, end = {"__metadata__": {**block.settings, "bn_eps": repr(float(epsilon(block)))}}, [], 0
    for name, value in tensors.items():
        values = array.array("f", value.detach().cpu().float().flatten().tolist())
        if sys.byteorder == "big":
            values.byteswap()
        raw = values.tobytes()
        header[name] = dict(dtype="F32", shape=list(value.shape), data_offsets=[end, end + len(raw)])
        data.append(raw)
        end += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


def load(block, path):
    """Takes the parameters from a file of torch.save(block.state_dict(), path)."""
    try:
        # Of what it cannot read the loader warns at length before it fails.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            block.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (AttributeError, EOFError, ImportError, KeyError, pickle.UnpicklingError, TypeError) as error:
        raise ValueError(f"{path}: holds no state_dict; write it with torch.save(block.state_dict(), path)") from error
    except RuntimeError as error:
        # The first line says only that there are errors, those behind it list all names.
        lines = str(error).splitlines()[:2] or [type(error).__name__]
        first, *more = lines[-1].strip().rstrip(".").split('", "')
        why = first + '" and more' if more else first
        raise ValueError(f"{path}: {why}; --variant, --cin and --cout must be the block's that was saved") from error


def main():
    parser = argparse.ArgumentParser(description="exports a block for Atrous")
    parser.add_argument("out", help="the safetensors file to write")
    parser.add_argument("--variant", choices=VARIANTS, default="literal")
    parser.add_argument("--cin", type=int, default=64, metavar="N")
    parser.add_argument("--cout", type=int, metavar="N", help="default: cin")
    parser.add_argument("--act", choices=ACTIVATIONS, default="silu")
    parser.add_argument("--eps", type=float, default=1e-3, help="of batch norm")
    parser.add_argument("--weights", metavar="F.pt", help="a state_dict; without it the block is untrained")
    parser.add_argument("--train", type=int, default=0, metavar="STEPS", help="steps on random data first, to try it")
    parser.add_argument("--sample", metavar="NxHxW", help="also store a random input and what every unit makes of it")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    try:
        block = ExpandConv(args.cin, args.cin if args.cout is None else args.cout, args.variant, args.act, args.eps)
        if args.weights:
            load(block, args.weights)
        sample = args.sample or "1x20x20"
        if not re.fullmatch("[1-9][0-9]*(x[1-9][0-9]*){2}", sample):
            raise ValueError(f"--sample '{sample}' is no size; write NxHxW, as 1x20x20")
        if args.train < 0:
            raise ValueError(f"--train is {args.train}; give the number of steps, 0 or more")
        n, h, w = (int(part) for part in sample.split("x"))
        optimizer = torch.optim.SGD(block.parameters(), lr=0.01)
        for _ in range(args.train):
            x = torch.randn(4, args.cin, h, w)
            loss = (block(x) - x.mean(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        export(block.eval(), args.out, torch.randn(n, args.cin, h, w) if args.sample else None)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"expand_conv.py: {next(iter(str(error).splitlines()), type(error).__name__)}")


if __name__ == "__main__":
    main()
