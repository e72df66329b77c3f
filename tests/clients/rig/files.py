"""Local files to upload, and their hashes."""

import hashlib
import random

KIB = 1 << 10
MIB = 1 << 20
# S3's smallest part, and the server's part size if memory isn't short.
LEAST_PART = 5 * MIB
PART = 8 * MIB


def content(size, seed=0):
    """Returns `size` pseudorandom bytes, which depend on size and seed only."""
    return random.Random(f"{size}/{seed}").randbytes(size)


def make(path, size, seed=0):
    """Writes `content` to a file and returns its SHA-256."""
    data = content(size, seed)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(data):
    return hashlib.sha256(data).hexdigest()


def make_tree(root):
    """Makes a directory with files of several sizes in it. Returns its `tree`."""
    for name, size in (("empty", 0), ("small", 100), ("below/large", 2 * LEAST_PART + 1), ("below/a b/ü", 1000)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        make(root / name, size)
    return tree(root)


def tree(root):
    """Returns the SHA-256 of each file below `root`, and None for each directory."""
    return {str(path.relative_to(root)): None if path.is_dir() else sha256(path) for path in root.rglob("*")}
