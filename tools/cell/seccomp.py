"""Which system calls a process may make: a seccomp filter, which needs no privileges. x86-64 and 64-bit ARM.

A filter is a program for the kernel's packet-filter machine (``linux/seccomp.h``, ``linux/filter.h``); the numbers of
the calls are the kernel's (``asm/unistd.h``).
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass

from tunewright.tools.cell.kernel import call

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_CLONE3, _CLONE_THREAD, _X32 = 435, 0x10000, 0x40000000

Instruction = tuple[int, int, int, int]
"""Operation, how far to jump if it holds and if not, and its constant."""


@dataclass(frozen=True)
class _Machine:
    architecture: int
    clone: int
    refused: tuple[int, ...]
    """fork, vfork, execve, execveat; socket; kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo;
    ptrace, process_vm_readv, process_vm_writev; unshare, setns; prlimit64, setrlimit, setpriority,
    sched_setscheduler, sched_setattr, ioprio_set."""
    ignored: tuple[int, ...]
    """Does nothing and says that it went well, so that copying a file works: chmod, fchmod, fchmodat, chown, fchown,
    lchown, fchownat; setxattr, lsetxattr, fsetxattr, removexattr, lremovexattr, fremovexattr."""


_EVERYWHERE = (424, 425, 438)  # pidfd_send_signal; io_uring_setup, which is a way around filters; pidfd_getfd
_FCHMODAT2 = 452
_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        56,
        (57, 58, 59, 322, 41, 62, 200, 234, 129, 297, 101, 310, 311, 272, 308, 302, 160, 141, 144, 314, 251),
        (90, 91, 268, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        220,
        (221, 281, 198, 129, 130, 131, 138, 240, 117, 270, 271, 97, 268, 261, 164, 140, 119, 274, 30),
        (52, 53, 55, 54, 5, 6, 7, 14, 15, 16),
    ),
}


def forbid() -> bool:
    """Refuses this process new processes, programs, sockets and signals; whether that worked. Threads are allowed.

    Needs ``no_new_privs``.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    instructions = _filter(machine)
    code = b"".join(struct.pack("HBBI", *one) for one in instructions)
    try:
        call("prctl", _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(instructions), code)), 0, 0)
    except OSError:
        return False
    return True


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _filter(machine: _Machine) -> list[Instruction]:
    made: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.architecture),
        _give(_KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),  # the same calls under other numbers
        _give(_ERROR | errno.ENOSYS),
    ]
    for number in (*machine.refused, *_EVERYWHERE):
        made += [(_EQUAL, 0, 1, number), _give(_ERROR | errno.EPERM)]
    for number in (*machine.ignored, _FCHMODAT2):
        made += [(_EQUAL, 0, 1, number), _give(_ERROR)]
    return [
        *made,
        # Its flags lie in memory, which a filter cannot see: C libraries fall back on clone.
        (_EQUAL, 0, 1, _CLONE3),
        _give(_ERROR | errno.ENOSYS),
        (_EQUAL, 0, 3, machine.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        _give(_ERROR | errno.EPERM),
        _give(_ALLOW),
    ]


def _give(what: int) -> Instruction:
    return (_GIVE, 0, 0, what)
