"""What a decoder's process is kept from, as far as its kernel can: seccomp(2) and landlock(7).

Neither needs a right, so that they hold in an ordinary container too. The standard library has
neither call; their numbers and layouts here are the kernel's, `linux/audit.h`, `linux/filter.h`,
`linux/landlock.h` and `asm/unistd.h`. Both hold for the calling thread and what it starts.
"""

from __future__ import annotations

import ctypes
import os
import platform
import site
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_SECCOMP_MODE_FILTER = 2

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED_CALLS = {
    # socket, connect, bind, listen, execve, ptrace, kill, execveat, process_vm_readv and writev,
    # pidfd_send_signal, io_uring_setup, pidfd_getfd
    "x86_64": (41, 42, 49, 50, 59, 101, 62, 322, 310, 311, 424, 425, 438),
    "aarch64": (198, 203, 200, 201, 221, 117, 129, 281, 270, 271, 424, 425, 438),
}
_X32_CALLS = 0x40000000  # the first number of x86-64's other table
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # the latter with EPERM

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_ALL_FILE_RIGHTS = (1 << 13) - 1  # of the first version of landlock
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_PATH_BENEATH = 1


def leave_network_and_processes() -> None:
    """No socket is made, no program started, and no other process reached from now on."""
    _LIBC.unshare((0 if os.getuid() == 0 else _CLONE_NEWUSER) | _CLONE_NEWNET)
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no other process looks into this one
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        return
    program = _filter(_AUDIT_ARCH[machine], _REFUSED_CALLS[machine])
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions of eight bytes, and where they are.
    given = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    )
    _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(given), 0, 0)


def read_only_these(paths: Iterable[str]) -> None:
    """From now on only Python, its packages, the system's libraries and `paths` are opened.

    Args:
        paths: of files; what is not there is left out.
    """
    attributes = struct.pack("Q", _ALL_FILE_RIGHTS)
    ruleset = _LIBC.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:  # a kernel before 5.13, or without it
        return
    package = Path(__file__).resolve().parents[1]
    for folder in {
        *(sys.prefix, sys.base_prefix, "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"),
        *("/lib64", *site.getsitepackages(), site.getusersitepackages(), str(package)),
    }:
        _allow(ruleset, folder, _EXECUTE | _READ_FILE | _READ_FOLDER)
    for path in ("/etc/ld.so.cache", *paths):
        _allow(ruleset, path, _READ_FILE)
    _LIBC.syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _filter(arch: int, refused: tuple[int, ...]) -> bytes:
    """A program for seccomp: (code, jump if true, jump if not, value) each; jumps are relative."""
    checks = [(_IF_EQUAL, call) for call in refused] + [(_IF_AT_LEAST, _X32_CALLS)]
    program = [
        (_LOAD, 0, 0, 4),  # seccomp_data.arch
        (_IF_EQUAL, 0, len(checks) + 2, arch),  # another table of calls: refuse
        (_LOAD, 0, 0, 0),  # seccomp_data.nr
        *((code, len(checks) - at, 0, value) for at, (code, value) in enumerate(checks)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    # struct landlock_path_beneath_attr, which is packed
    _LIBC.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    os.close(opened)
