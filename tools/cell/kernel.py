"""What a process can give up for good: privileges, resources, its network. System calls and nothing else.

Linux; elsewhere what the kernel does not know is left out, and the resource limits remain.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

_NEWNS, _NEWIPC, _NEWUSER, _NEWNET = 0x20000, 0x08000000, 0x10000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 2, 4, 0x4000, 1 << 18, 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION = 0x20080522
MIB = 2**20


def call(name: str, *arguments: object) -> int:
    """A function of the C library that gives -1 where it fails.

    Raises:
        OSError: it fails, or there is none of this name.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, name):
        raise OSError(f"no {name} here")
    found: int = getattr(library, name)(*arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return found


def leave_namespaces() -> bool:
    """Moves this process into a network and a tree of mounts of its own; whether it may mount now.

    It must have one thread. Without privileges it needs a kernel that lets users have namespaces.
    """
    uid, gid = os.getuid(), os.getgid()
    own = _NEWNS | _NEWIPC | _NEWNET
    try:
        call("unshare", own)
    except OSError:
        try:
            call("unshare", own | _NEWUSER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        except OSError:
            return False
    try:
        call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    except OSError:
        return False
    return True


def mount_memory(folder: str, size_mib: int) -> bool:
    """An empty file system of that size over ``folder``; whether it worked."""
    options = f"size={size_mib}m,nr_inodes=4096,mode=700".encode()
    try:
        call("mount", b"tmpfs", folder.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, options)
    except OSError:
        return False
    return True


def unmount(folder: str) -> None:
    """Takes it away again, with everything on it."""
    with suppress(OSError):
        call("umount2", folder.encode(), _MNT_DETACH)


def limit(*, wall_s: float, memory_mib: int, disk_mib: int, open_files: int) -> None:
    """Bounds on what this process may use from now on."""
    seconds = math.ceil(wall_s) + 1
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory_mib * MIB),
        (resource.RLIMIT_FSIZE, disk_mib * MIB),
        (resource.RLIMIT_NOFILE, open_files),
    ):
        with suppress(OSError, ValueError):  # a system may have no such limit, or a lower one already
            resource.setrlimit(what, (most, most))


def no_more_processes() -> None:
    """Neither processes nor threads: what is left where system calls cannot be filtered. Holds for no superuser."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def drop_privileges() -> None:
    """No capabilities, none to be gained, and death with the parent."""
    with suppress(OSError):
        call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with suppress(OSError):
        call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    with suppress(OSError):
        call("capset", header, (ctypes.c_uint32 * 6)())
