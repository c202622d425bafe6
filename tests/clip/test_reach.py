"""Names of CLIPs that no file can have, and a hub that is out of reach."""

import os
import socket

import pytest
from systems import posix

from guidance.clip import load_clip, parse_specs
from guidance.errors import InputError, ModelError
from guidance.pretrained import hub


@posix
def test_names_of_files_that_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    long, folder = "x" * 5000, str(tmp_path)
    for name, message in (
        (f"ViT-B-32={long}", "does not exist"),
        (long, "unknown CLIP model"),
        ("a\x00", "unknown CLIP model"),
        (f"ViT-B-32={tmp_path}/pipe", "is no regular file"),
        (f"ViT-B-32={folder}", f"is a folder; name the file in it: ViT-B-32={folder}/FILE"),
        (folder, f"no open_clip_config.json in it; .*ViT-B-32={folder}/FILE"),
        ("laion/CLIP-ViT-B-32", "a repository of the hub is named hf-hub:laion/CLIP-ViT-B-32"),
    ):
        with pytest.raises(InputError, match=message):
            parse_specs(name)


def test_a_tokenizer_out_of_reach_names_the_way_out():
    with pytest.raises(ModelError, match=r"reads texts with the tokenizer .*; or use --clip mini$"):
        load_clip("ViT-B-16-SigLIP/webli")


def test_a_proxy_that_is_not_there_is_no_network(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert not hub._reachable("https://huggingface.co")
    monkeypatch.setenv("https_proxy", "http://[")
    assert not hub._reachable("https://huggingface.co")
