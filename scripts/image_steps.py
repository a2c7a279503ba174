"""The Dockerfile's own steps without an engine: each instruction, read from the file, in a Debian made from nothing (root, debootstrap).

    python scripts/image_steps.py FOLDER      builds the image's file system, then tries it as compose.yml would run it

What an engine adds is not tried: layers, the named base image (its Python comes from Debian here), limits and networks.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
KNOWN = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Image:
    """A file system with what the instructions say of running it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    place: str = "/"
    entry: list[str] = field(default_factory=list)

    def run(self, words: list[str], *, args: bool = False, **options: object) -> subprocess.Popen[str]:
        """Start a program in the image, as its user, in its folder."""
        inside = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
        inside["HOME"] = "/root" if self.user == "0:0" else "/home/exo"
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and args}
        env = inside | pip | self.env | (self.args if args else {})
        enter = [str(shutil.which("chroot")), f"--userspec={self.user}", str(self.root)]
        command = [*enter, "sh", "-c", 'cd "$0" && exec "$@"', self.place, *words]
        return subprocess.Popen(command, env=env, text=True, **options)  # type: ignore[call-overload, no-any-return]


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Instruction and value, in order; one that this script does not know ends it."""
    from dockerfile_parse import DockerfileParser

    for step in DockerfileParser(fileobj=io.BytesIO(dockerfile.read_bytes())).structure:
        if step["instruction"] != "COMMENT":
            if step["instruction"] not in KNOWN:
                sys.exit(f"a step that is not understood: {step['content']}")
            yield step["instruction"], step["value"]


def context(repository: Path) -> list[Path]:
    """The files that .dockerignore lets through: the last pattern that matches a path or a folder above it decides."""
    rules = [line for line in (repository / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    patterns = [(not rule.startswith("!"), re.compile(_as_regex(rule.lstrip("!").strip("/")))) for rule in rules]

    def kept(path: Path) -> bool:
        names = [part.as_posix() for part in (path, *path.parents)]
        decided = [out for out, pattern in patterns if any(pattern.fullmatch(name) for name in names)]
        return not (decided and decided[-1])

    tops = [path for path in repository.iterdir() if kept(path.relative_to(repository))]
    found = (path for top in tops for path in (top, *top.rglob("*")) if path.is_file())
    return sorted(path for path in (path.relative_to(repository) for path in found) if kept(path))


def _as_regex(pattern: str) -> str:
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(pieces.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))


def debian(root: Path) -> Path:
    """A minimal Debian of the base image's release, with Debian's Python under the names the image has."""
    words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    if CERTIFICATES.exists():  # those of this machine, by which it knows its package index
        shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    return root


def build(folder: Path) -> Image:
    """Every stage of the Dockerfile; the last one is the image."""
    base, stages, world = debian(folder / "base"), {}, {}
    image: Image | None = None
    for step, value in instructions(REPOSITORY / "Dockerfile"):
        print(f"{step} {value}", flush=True)
        if step == "FROM":
            name = value.split()[-1] if " AS " in value else "last"
            shutil.copytree(base, folder / name, symlinks=True, ignore=shutil.ignore_patterns("dev"))
            (folder / name / "dev").mkdir(exist_ok=True)
            stages[name] = image = Image(folder / name)
        elif image is None:
            world.update([value.split("=", 1)])
        else:
            follow(image, stages, step, value)
    assert image is not None
    return image


def follow(image: Image, stages: dict[str, Image], step: str, value: str) -> None:
    """One instruction of a stage."""
    if step == "ARG":
        image.args.update([value.split("=", 1)])
    elif step == "ENV":
        image.env.update(pair.split("=", 1) for pair in value.split())
    elif step == "WORKDIR":
        image.place = value
        (image.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif step == "USER":
        image.user = value
    elif step == "ENTRYPOINT":
        image.entry = json.loads(value)
    elif step == "COPY":
        copy(image, stages, value.split())
    elif step == "RUN":
        with mounted(image) as ran:
            if ran.run(["sh", "-ec", value], args=True).wait() != 0:
                sys.exit(f"failed: RUN {value}")


class mounted:  # noqa: N801
    """The image with /proc and /dev, as an engine gives them to a step."""

    def __init__(self, image: Image) -> None:
        self._image = image

    def __enter__(self) -> Image:
        for kind, name in (("proc", "proc"), ("devtmpfs", "dev")):
            subprocess.run(["mount", "-t", kind, kind, str(self._image.root / name)], check=True)
        return self._image

    def __exit__(self, *error: object) -> None:
        for name in ("dev", "proc"):
            subprocess.run(["umount", "--lazy", str(self._image.root / name)], check=True)


def copy(image: Image, stages: dict[str, Image], words: list[str]) -> None:
    """``COPY [--from=stage] source... target``, from the files that .dockerignore lets through."""
    stage = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), None)
    *sources, target = (word for word in words if not word.startswith("--"))
    into = image.root / (Path(image.place) / target).relative_to("/")
    if stage is not None:
        shutil.copytree(stages[stage].root / sources[0].lstrip("/"), into, symlinks=True, dirs_exist_ok=True)
        return
    for source in map(Path, sources):
        files = [path for path in context(REPOSITORY) if path == source or source in path.parents]
        if not files:
            sys.exit(f"failed: COPY {source}: .dockerignore lets nothing of it through")
        for path in files:
            there = into / (path.relative_to(source) if path != source else path.name)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, there)


def attempt(image: Image) -> None:
    """What compose.yml starts, as it starts it: a workspace, a night's plan, the dashboard with its health check, alerts."""
    services = yaml.safe_load((REPOSITORY / "compose.yml").read_text())["services"]
    with mounted(image):
        plain: tuple[list[str], ...] = (["--version"], ["init", "--missing", "/workspace"], ["config", "check"], ["demo"])
        alert = [*services["alert"]["command"], "--once"]  # 2: it says that nobody is configured to be told
        for words in (*plain, [*services["schedule"]["command"], "--show"], alert):
            print("exo", *words, flush=True)
            code = image.run([*image.entry, *words]).wait()
            if code != (2 if words is alert else 0):
                sys.exit(f"failed: exo {' '.join(words)}: exit code {code}")
        keys = image.root / "workspace/config/api_keys_local.yml"
        keys.write_text(f'dashboard_password: "{hashed(image)}"\n')
        keys.chmod(0o600)
        os.chown(keys, *map(int, image.user.split(":")))
        serve(image, services["dash"])


def hashed(image: Image) -> str:
    """A password's hash, made in the image: a dashboard that others reach wants one."""
    code = "from mech_exo.reporting.dashboard.auth import hashed; print(hashed('correct horse battery staple'))"
    program = image.run(["/opt/exo/bin/python", "-c", code], stdout=subprocess.PIPE)
    return program.communicate()[0].strip()


def serve(image: Image, service: dict[str, object]) -> None:
    """The dashboard answers its health check: 503 before the first night, which is what compose.yml says."""
    server = image.run([*image.entry, *map(str, service["command"])])  # type: ignore[call-overload]
    try:
        for _ in range(120):
            time.sleep(1.0)
            try:
                answer = urllib.request.urlopen("http://127.0.0.1:8050/healthz", timeout=5).status
            except urllib.error.HTTPError as error:
                answer = error.code
            except urllib.error.URLError:
                continue
            check = image.run([str(word) for word in service["healthcheck"]["test"][1:]], stderr=subprocess.DEVNULL).wait()  # type: ignore[index]
            print(f"/healthz answers {answer}; the health check says {'healthy' if check == 0 else 'unhealthy'}")
            if (answer, check == 0) not in ((200, True), (503, False)):
                sys.exit("failed: the health check and /healthz differ")
            return
        sys.exit("failed: the dashboard did not answer within two minutes")
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    if len(sys.argv) != 2 or os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("python scripts/image_steps.py FOLDER   (as root, with debootstrap: apt install debootstrap)")
    made = build(Path(sys.argv[1]))
    attempt(made)
    print("the image's steps hold")
