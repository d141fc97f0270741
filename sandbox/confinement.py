"""What a job's process gives up before it runs: network, privileges, core dumps, the life after its keeper.

Runs in the child between fork and the job's first line, so it is system calls and nothing else. Linux only;
elsewhere each step that the kernel does not know is left out, and ``own_network_works`` says so.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
OPEN_FILES = 4096


def prctl(option: int, value: int) -> None:
    """The system call of that name; silently nothing on a kernel that has none."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when the thread that forked it ends.

    Args:
        parent: the forker's id as it was before the fork, to notice that it died in between.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """A descendant whose parent dies becomes a child of this process instead of init's."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def limit(disk_bytes: int) -> None:
    """No core dumps, no file over ``disk_bytes``, a bounded number of open files, no gain of privileges, and
    first in line if the machine itself runs out of memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk_bytes, disk_bytes))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def leave_network() -> None:
    """Moves this process into a network namespace that holds nothing but its own loopback.

    Raises:
        OSError: the kernel does not allow it to this user.
    """
    uid, gid = os.getuid(), os.getgid()
    flags = CLONE_NEWNET if uid == 0 else CLONE_NEWNET | CLONE_NEWUSER
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, f"no network namespace: {os.strerror(code)}")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket() as probe:
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def own_network_works() -> bool:
    """Whether a process on this machine can be cut off: one is, and tries to reach a listener of ours and the
    world outside."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-P", "-m", "tunewright.sandbox.confinement", str(port)]
        try:
            return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False


def _probe(port: int) -> int:
    """Exit code 0 if, from a namespace of its own, neither the host nor the outside can be reached."""
    try:
        leave_network()
    except OSError:
        return 1
    # 192.0.2.0/24 is reserved for documentation: if a packet leaves, it reaches nobody.
    for address in (("127.0.0.1", port), ("192.0.2.1", 80)):
        with suppress(OSError), socket.socket() as probe:
            probe.settimeout(2)
            probe.connect(address)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(_probe(int(sys.argv[1])))
