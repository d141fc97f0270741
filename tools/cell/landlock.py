"""Which files a process can reach: Landlock (Linux 5.13), which needs no privileges.

The numbers are the kernel's (``linux/landlock.h``); system calls 444 to 446 are so on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tunewright.tools.cell.kernel import call

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ALL_OF_FIRST = (1 << 13) - 1
_SINCE = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Version of Landlock -> right to a file that it has learned to deny: moving, truncating, device controls."""
_TCP, _SIGNALS_AND_SOCKETS = 0b11, 0b11
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/nix/store")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def shut_in(folder: str) -> bool:
    """Leaves this process Python's own files to read and ``folder`` to do with as it likes; whether that worked.

    Needs ``no_new_privs``, and open files keep what they allow.
    """
    try:
        version = call("syscall", _CREATE, None, ctypes.c_size_t(0), _VERSION)
        rights = _ALL_OF_FIRST | sum(right for since, right in _SINCE.items() if version >= since)
        ruleset = _ruleset(version, rights)
    except OSError:
        return False
    _allow(ruleset, folder, rights)
    for place in {*_python(), *_SYSTEM}:
        _allow(ruleset, place, _READ_FILE | _READ_DIR)
    for file in _FILES:
        _allow(ruleset, file, _READ_FILE)
    try:
        call("syscall", _RESTRICT, ruleset, 0)
    except OSError:
        return False
    finally:
        os.close(ruleset)
    return True


def _ruleset(version: int, rights: int) -> int:
    """Everything is denied that this version can deny: files, TCP, signals and sockets outside."""
    fields = [rights, *([_TCP] if version >= 4 else []), *([_SIGNALS_AND_SOCKETS] if version >= 6 else [])]
    attribute = (ctypes.c_uint64 * len(fields))(*fields)
    return call("syscall", _CREATE, attribute, ctypes.c_size_t(ctypes.sizeof(attribute)), 0)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _allow(ruleset: int, place: str, rights: int) -> None:
    with suppress(OSError):  # what is not there need not be allowed
        where = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            call("syscall", _ADD, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(rights, where)), 0)
        finally:
            os.close(where)


def _python() -> Iterable[str]:
    """Where this interpreter and what it can import are."""
    places = (sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path)
    return (place for place in places if place and Path(place).is_absolute())
