"""Gets the image that containers run: found, built from our Dockerfile, or made of nothing."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import ssl
import sys
import tarfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.domain.errors import SandboxError, boundary
from tunewright.domain.frozen import content_hash, short
from tunewright.sandbox.mount import LOADER, SYSTEM, system_links
from tunewright.sandbox.package import trial_files

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

IMAGES = Path(__file__).parent / "images"
REQUIREMENTS = IMAGES / "requirements.txt"
BARE = "tunewright-bare"
TRIAL = "tunewright-trial"
MOUNT_POINTS = ("dev", "proc", "sys", "tmp", "job", "model", "etc")
USERS = "root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"
BUILD_ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")


def find_image(client: DockerClient, name: str) -> Image:
    """The image of that name, pulled if it is not here.

    Raises:
        SandboxError: it is neither here nor can it be pulled.
    """
    from docker.errors import DockerException, ImageNotFound

    try:
        return client.images.get(name)
    except ImageNotFound:
        pass
    try:
        return client.images.pull(name)
    except DockerException as error:
        raise SandboxError(
            f"there is no image '{name}' here and it could not be pulled: {str(error).splitlines()[0]}",
            "run without the options image and base: the host's own environment is then mounted, which needs no image",
        ) from error


def bare_image(client: DockerClient) -> Image:
    """An image that holds nothing but the places to mount a host's environment at. Made in a moment, of nothing.

    Raises:
        SandboxError: the engine refuses it.
    """
    content = _bare_content()
    tag = short(hashlib.sha256(content).hexdigest())
    name = f"{BARE}:{tag}"
    if not client.images.list(name):
        with boundary(SandboxError, "make the bare image"):
            client.api.import_image_from_data(content, repository=BARE, tag=tag)
    return client.images.get(name)


def built_image(client: DockerClient, base: str, requirements: Path = REQUIREMENTS) -> Image:
    """The image of our Dockerfile on ``base``, built if none of the same content is here.

    Args:
        base: an image with Python.
        requirements: what is installed, at the versions of this interpreter's environment.

    Raises:
        SandboxError: no such base, or the build failed; its last line is in the message.
    """
    from docker.errors import BuildError

    base_id = str(find_image(client, base).id)
    context = _build_context(requirements)
    arguments = {name: os.environ[name] for name in BUILD_ARGUMENTS if os.environ.get(name)}
    name = f"{TRIAL}:{short(content_hash([hashlib.sha256(context).hexdigest(), base_id]))}"
    if client.images.list(name):
        return client.images.get(name)
    try:
        with boundary(SandboxError, "build the trial image"):
            image, _ = client.images.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                tag=name,
                rm=True,
                forcerm=True,
                network_mode="host",  # a host that reaches its index by loopback proxy still does
                buildargs={**arguments, "BASE": base},
            )
    except SandboxError as error:
        said = error.__cause__
        lines = [str(part.get("stream", "")) for part in said.build_log] if isinstance(said, BuildError) else []
        last = next((line.strip() for line in reversed(lines) if "ERROR" in line), "")
        raise SandboxError(error.message + (f" ({last})" if last else ""), f"build it by hand from '{base}'") from error
    return image


def environment_digest(image: Image) -> str:
    """Digest of a bare image together with the interpreter and packages of this host.

    The host's shared libraries enter by the version of the C library alone, so that a security update of an
    unrelated one does not undo approvals.
    """
    return "sha256:" + content_hash(
        {
            "layers": image.attrs["RootFS"]["Layers"],
            "python": sys.version,
            "libc": list(platform.libc_ver()),
            "machine": platform.machine(),
            "packages": _pins(),
        }
    )


def image_environment(image: Image) -> dict[str, str]:
    """The environment an image asks for."""
    pairs = image.attrs["Config"].get("Env") or []
    return dict(pair.split("=", 1) for pair in pairs)


def _pins() -> list[str]:
    """``name==version`` of every distribution here. A local version such as ``+cpu`` is in no index: left out."""
    found: Mapping[str, str] = {
        str(dist.metadata["Name"]).lower(): dist.version for dist in metadata.distributions() if dist.metadata["Name"]
    }
    return sorted(f"{name}=={version.split('+')[0]}" for name, version in found.items() if name != "tunewright")


def _certificates() -> bytes:
    """The authorities this host trusts for fetching packages."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    places = [os.environ.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")]
    places += [ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt", DEFAULT_CA_BUNDLE_PATH]
    return next(Path(place).read_bytes() for place in places if place and Path(place).is_file())


def _bare_content() -> bytes:
    """A tar with this host's shape of links: the same bytes for the same shape."""
    links = system_links()
    folders = {*MOUNT_POINTS, *(place.lstrip("/") for place in SYSTEM if place not in links and Path(place).exists())}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in sorted(folders):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name, target in sorted(links.items()):
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        _add(tar, "etc/passwd", USERS.encode())
        for place in LOADER:
            if Path(place).is_file():
                _add(tar, place.lstrip("/"), b"")
    return buffer.getvalue()


def _build_context(requirements: Path) -> bytes:
    """A tar of the Dockerfile and all it copies: the same bytes for the same content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, "Dockerfile", (IMAGES / "Dockerfile").read_bytes())
        _add(tar, "requirements.txt", requirements.read_bytes())
        _add(tar, "constraints.txt", "\n".join(_pins()).encode())
        _add(tar, "certificates.pem", _certificates())
        for name, path in trial_files():
            _add(tar, f"tunewright/{name}", path.read_bytes())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
