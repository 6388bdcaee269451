#!/usr/bin/env python3
"""image.py OUT NAME:TAG FILE=PATH...

Writes a container image as a docker-archive (the form of `docker save`), with
one layer that holds the files.  The same files give the same bytes.  The first
file is the entry point.
"""
import hashlib
import io
import json
import os
import sys
import tarfile


def add(tar, name, data=None, mode=0o755):
    info = tarfile.TarInfo(name)
    info.mode = mode
    if data is None:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def parents(path):
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def layer_of(files):
    out = io.BytesIO()
    folders = set()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for source, path in files:
            for folder in parents(path):
                if folder not in folders:
                    folders.add(folder)
                    add(tar, folder)
            with open(source, "rb") as f:
                add(tar, path, f.read())
    return out.getvalue()


def main(out, name, *specs):
    files = [(s.split("=", 1)[0], s.split("=", 1)[1].lstrip("/")) for s in specs]
    layer = layer_of(files)
    digest = hashlib.sha256(layer).hexdigest()
    machine = os.uname().machine
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": ["/" + files[0][1]], "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [digest + "/layer.tar"]}]
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as tar:
        add(tar, config_name, config, 0o644)
        add(tar, digest + "/layer.tar", layer, 0o644)
        add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
