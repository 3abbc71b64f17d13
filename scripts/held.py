#!/usr/bin/env python3
"""What a safetensors file with an `input` and an `output` holds, against what a run made of it; needs nothing but Python.

held.py input FILE.safetensors INPUT.npy     writes the input
held.py compare FILE.safetensors OUTPUT.npy  exit code 1 where an array is not the output
"""
import ast
import array
import json
import math
import struct
import sys


def floats(raw):
    values = array.array("f", raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def tensor(path, name):
    """The shape and the values of a float tensor."""
    with open(path, "rb") as file:
        raw = file.read()
    length = struct.unpack("<Q", raw[:8])[0]
    entry = json.loads(raw[8:8 + length])[name]
    start, end = entry["data_offsets"]
    return entry["shape"], floats(raw[8 + length + start:8 + length + end])


def compare(path, shape, found):
    """Prints the largest difference from the file's output; exits where it is more than rounding."""
    expected_shape, expected = tensor(path, "output")
    if list(shape) != expected_shape:
        sys.exit(f"{path}: the output is {list(shape)}, not {expected_shape}")
    differences = [abs(a - b) for a, b in zip(expected, found)]
    error = math.inf if any(map(math.isnan, differences)) else max(differences)
    most = max(map(abs, expected))
    if error > 1e-4 * max(1, most):
        sys.exit(f"{path}: off by {error:.2g} from its output, at magnitudes up to {most:.2g}")
    print(f"largest difference from its output {error:.2g} at magnitudes up to {most:.2g}")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("input", "compare"):
        sys.exit("usage: held.py input|compare FILE.safetensors ARRAY.npy")
    _, what, path, name = sys.argv
    if what == "input":
        shape, values = tensor(path, "input")
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(shape)}, }}\n".encode()
        if sys.byteorder == "big":
            values.byteswap()
        with open(name, "wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values.tobytes())
        return
    with open(name, "rb") as file:
        raw = file.read()
    length = struct.unpack("<H", raw[8:10])[0]
    compare(path, ast.literal_eval(raw[10:10 + length].decode())["shape"], floats(raw[10 + length:]))


if __name__ == "__main__":
    main()
