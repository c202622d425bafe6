"""A process that has imported everything once and forks runs, some of which kill themselves.

It reads one job a line, ``{"technique", "argv", "folder", "kill", "kind"}``, and answers each with
``{"status", "events"}``: how the child ended (-9 if it was killed) and at which events of the
operating system it could have been. An event is the opening, renaming or removing of a file below
the job's folder; `kill` is the number of the one before which the child gets SIGKILL, and with
``"kind": "time"`` the milliseconds after which it is ended likewise. With ``"kind": "warm"`` there
is no child: the process itself runs the job, and later children find everything imported.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading

TECHNIQUES = {
    "clipdraw": "CLIPDRAW",
    "vqgan": "VQGAN",
    "pixels": "PIXELS",
    "diffusion": "DIFFUSION",
}
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def main() -> None:
    """Serve jobs until stdin ends."""
    import torch

    import guidance.command.run  # noqa: F401

    torch.set_num_threads(1)
    for name in TECHNIQUES:
        importlib.import_module(f"guidance.{name}.build")
    for module in ("imageio", "imageio_ffmpeg", "open_clip", "tyro", "tqdm"):
        importlib.import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


def serve(job: dict) -> dict:
    """Run a job in a child."""
    if job.get("kind") == "warm":
        here = os.getcwd()
        os.chdir(job["folder"])
        status = command(job)
        os.chdir(here)
        return {"status": status, "events": []}
    read, written = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        code = 70
        try:
            code = work(job, written)
        finally:
            os._exit(code)
    os.close(written)
    with os.fdopen(read) as pipe:
        events = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"status": status, "events": events.splitlines()}


def work(job: dict, pipe: int) -> int:
    """Run the technique; tell each event to the parent."""
    os.chdir(job["folder"])
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    count = 0
    kill, kind = job.get("kill"), job.get("kind", "event")
    main_thread = threading.get_ident()

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in EVENTS or threading.get_ident() != main_thread:
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike):
            return
        path = os.path.abspath(os.fspath(path))
        if not path.startswith(job["folder"] + os.sep) or path.endswith("log.txt"):
            return
        os.write(pipe, f"{event} {os.path.basename(path)}\n".encode())
        if kind == "event" and count == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    if kill is not None and kind == "time":  # the alarm ends the process as SIGKILL does, unseen
        signal.setitimer(signal.ITIMER_REAL, kill / 1000)
    sys.addaudithook(hook)
    return command(job)


def command(job: dict) -> int:
    """Run the technique as its command line does."""
    from guidance.command.runner import command

    technique = importlib.import_module(f"guidance.{job['technique']}.technique")
    return command(getattr(technique, TECHNIQUES[job["technique"]]), job["argv"])


if __name__ == "__main__":
    main()
