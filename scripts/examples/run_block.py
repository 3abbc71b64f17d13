#!/usr/bin/env python3
"""Runs a block on an input of ones and prints the mean of its output; needs nothing but Python.

ATROUS_LIBRARY=<prefix>/lib/libatrous.so run_block.py block.safetensors 20 20 [threads] [plan.csv]
"""
import ctypes
import os
import sys

try:
    library = ctypes.CDLL(os.environ.get("ATROUS_LIBRARY", "libatrous.so"))
except OSError as error:
    sys.exit(f"run_block.py: {error}; build it with scripts/library PREFIX and set ATROUS_LIBRARY to PREFIX/lib/libatrous.so")
floats = ctypes.POINTER(ctypes.c_float)
for name, result, arguments in [
    ("load_as", ctypes.c_void_p, [ctypes.c_char_p] * 3 + [ctypes.c_double]),
    ("input_channels", ctypes.c_int, [ctypes.c_void_p]),
    ("output_channels", ctypes.c_int, [ctypes.c_void_p]),
    ("plan", ctypes.c_int, [ctypes.c_void_p] + [ctypes.c_int] * 4 + [ctypes.c_char_p]),
    ("memory_bytes", ctypes.c_size_t, [ctypes.c_void_p]),
    ("run", ctypes.c_int, [ctypes.c_void_p, floats, floats]),
    ("free", None, [ctypes.c_void_p]),
    ("last_error", ctypes.c_char_p, []),
]:
    function = getattr(library, "atrous_" + name)
    function.restype, function.argtypes = result, arguments


def last_error():
    return library.atrous_last_error().decode(errors="replace")


class Block:
    """A trained block; every failure is a RuntimeError with the library's one line."""

    def __init__(self, path, variant=None, activation=None, epsilon=0):
        """What the file's metadata do not say, of a plain state_dict, must be given."""
        self.inputs = self.outputs = 0
        variant, activation = (text and text.encode() for text in (variant, activation))
        self._block = library.atrous_load_as(os.fsencode(path), variant, activation, epsilon)
        if not self._block:
            raise RuntimeError(last_error())
        self.cin = library.atrous_input_channels(self._block)
        self.cout = library.atrous_output_channels(self._block)

    def plan(self, batch, height, width, threads=1, plan=None):
        path = os.fsencode(plan) if plan else None
        if library.atrous_plan(self._block, batch, height, width, threads, path):
            raise RuntimeError(last_error())
        self.inputs = batch * self.cin * height * width
        self.outputs = batch * self.cout * height * width

    def __call__(self, values):
        """values: a flat sequence of [batch][cin][height][width]; gives a flat ctypes array of the output."""
        if self.inputs and len(values) != self.inputs:
            raise RuntimeError(f"the input has {len(values)} values; give {self.inputs}")
        source = (ctypes.c_float * len(values))(*values)
        target = (ctypes.c_float * self.outputs)()
        if library.atrous_run(self._block, source, target):
            raise RuntimeError(last_error())
        return target

    def __del__(self):
        if getattr(self, "_block", None):
            library.atrous_free(self._block)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: run_block.py FILE.safetensors HEIGHT WIDTH [THREADS] [PLAN.csv]")
    try:
        height, width, threads = map(int, (sys.argv[2:5] + ["1"])[:3])
    except ValueError as error:
        sys.exit(f"run_block.py: {error}; height, width and threads are whole numbers")
    try:
        block = Block(sys.argv[1])
        block.plan(1, height, width, threads, sys.argv[5] if len(sys.argv) > 5 else None)
    except RuntimeError as error:
        sys.exit(f"run_block.py: {error}")
    output = block([1.0] * block.inputs)
    print(f"{block.outputs} outputs, mean {sum(output) / block.outputs:.6f}, "
          f"{library.atrous_memory_bytes(block._block)} bytes held")
