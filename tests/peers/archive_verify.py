"""Verifies an archive of runs with nothing of ablate's: Python's standard library, its `zipfile`, and BLAKE3.

    python3 tests/peers/archive_verify.py FILE...

Written from docs/archive.md alone. BLAKE3 is not in the standard library: the package `blake3` is used where it is there, and
otherwise the few lines below, which are slow (about 0.5 MB/s) and from the paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020).
"""

import json
import struct
import sys
import zipfile
import zlib

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIX = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT = 1, 2, 4, 8
M = 0xFFFFFFFF


def compress(chain, block, counter, length, flags):
    v = list(chain) + list(IV[:4]) + [counter & M, counter >> 32, length, flags]
    m = struct.unpack("<16I", block.ljust(64, b"\0"))
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(MIX):
            for x, r, s in ((m[2 * at], 16, 12), (m[2 * at + 1], 8, 7)):
                v[a] = (v[a] + v[b] + x) & M
                v[d] = ((v[d] ^ v[a]) >> r | (v[d] ^ v[a]) << (32 - r)) & M
                v[c] = (v[c] + v[d]) & M
                v[b] = ((v[b] ^ v[c]) >> s | (v[b] ^ v[c]) << (32 - s)) & M
        m = [m[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def words(chain):
    return struct.pack("<8I", *chain)


def chunk(data, counter, flags):
    blocks = [data[at : at + 64] for at in range(0, max(len(data), 1), 64)]
    chain = IV
    for at, block in enumerate(blocks):
        last = at == len(blocks) - 1
        kind = (START if at == 0 else 0) | ((END | flags) if last else 0)
        chain = compress(chain, block, counter, len(block), kind)
    return chain


def tree(data, counter, flags):
    if len(data) <= 1024:
        return chunk(data, counter, flags)
    left = 1024
    while left * 2 < len(data):
        left *= 2
    both = words(tree(data[:left], counter, 0)) + words(tree(data[left:], counter + left // 1024, 0))
    return compress(IV, both, 0, 64, PARENT | flags)


def plain_blake3(data):
    return words(tree(data, 0, ROOT))


try:
    from blake3 import blake3 as package

    def blake3(data):
        return package(data).digest()
except ImportError:
    blake3 = plain_blake3

# The hash of nothing, as the paper's test vectors have it.
assert plain_blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def leaf(size, content):
    return blake3(b"ablate leaf\n" + struct.pack("<Q", size) + content)


def text(words):
    words = words.encode()
    return leaf(len(words), blake3(words))


def node(children):
    data = b"ablate node\n"
    for name, hash in sorted((name.encode(), hash) for name, hash in children):
        data += struct.pack("<Q", len(name)) + name + hash
    return blake3(data)


PARTS = {"spec.toml": "specification", "params.json": "specification", "provenance.json": "provenance", "lineage.json": "provenance",
         "events.log": "log", "log.txt": "log", "labels.json": "labels", "checkpoints": "weights", "artifacts": "artifacts"}


def verify(path):
    data = open(path, "rb").read()
    first = data.split(b"\n", 1)[0].decode()
    start = "<!DOCTYPE html><!-- ablate-archive-1: a page of "
    assert first.startswith(start), "no archive"
    page_bytes = int(first[len(start) :][:20])
    with zipfile.ZipFile(path) as zip:
        assert zip.testzip() is None
        names = zip.namelist()
        assert names[0] == "certificate.json" and zip.infolist()[0].header_offset == page_bytes
        certificate = json.loads(zip.read("certificate.json"))
        files = {name: zip.read(name) for name in names[1:]}
        packed = {info.filename: info for info in zip.infolist()}
    faults = []

    def check(what, ok):
        if not ok:
            faults.append(what)

    check("the list of files", sorted(files) == [entry["path"] for entry in certificate["entries"]])
    leaves = {}
    for entry in certificate["entries"]:
        content = files.get(entry["path"], b"")
        check(entry["path"], len(content) == entry["bytes"] and blake3(content).hex() == entry["hash"])
        check(entry["path"] + " (checksum)", zlib.crc32(content) == entry["crc32"])
        deflated = entry.get("deflated")
        if entry["path"] in packed:
            info = packed[entry["path"]]
            begin = info.header_offset + 30 + sum(struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30]))
            raw = data[begin : begin + info.compress_size]
            check(entry["path"] + " (packed)", blake3(raw).hex() == (deflated or entry)["hash"])
        leaves[entry["path"]] = leaf(len(content), blake3(content))
    page, at = certificate["page"], certificate["page"]["root_at"]
    root = data[at : at + 64].decode()
    zeroed = data[:at] + b"0" * 64 + data[at + 64 : page_bytes]
    check("page", page["bytes"] == page_bytes and blake3(zeroed).hex() == page["hash"] and root == certificate["root"])
    runs = []
    for run in certificate["runs"]:
        parts = {}
        for path, hash in leaves.items():
            if path.startswith(f"runs/{run['id']}/"):
                inner = path.split("/", 2)[2]
                parts.setdefault(PARTS.get(inner.split("/")[0], "other"), []).append((inner, hash))
        nodes = {part: node(children) for part, children in parts.items()}
        check(f"parts of {run['id']}", {part: hash.hex() for part, hash in nodes.items()} == run["parts"])
        corpora = node((corpus["name"], bytes.fromhex(corpus["hash"])) for corpus in run["corpora"])
        whole = node([*nodes.items(), ("corpora", corpora), ("why", text(run["why"]))])
        check(f"run {run['id']}", whole.hex() == run["hash"])
        runs.append((run["id"], whole))
    children = [
        ("checkpoints", text("yes" if certificate["checkpoints"] else "no")),
        ("format", text(certificate["format"])),
        ("page", leaf(page_bytes, blake3(zeroed))),
        ("program", text(certificate["program"])),
        ("reports", node((path, hash) for path, hash in leaves.items() if path.startswith("reports/"))),
        ("runs", node(runs)),
    ]
    if "experiments.json" in leaves:
        children.append(("experiments.json", leaves["experiments.json"]))
    check("root", node(children).hex() == certificate["root"])
    return certificate["root"], faults


if __name__ == "__main__":
    failed = False
    for path in sys.argv[1:]:
        root, faults = verify(path)
        failed |= bool(faults)
        print(path, "root", root, "whole" if not faults else "DAMAGED: " + ", ".join(faults))
    sys.exit(failed)
