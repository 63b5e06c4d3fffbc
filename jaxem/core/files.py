"""Files written whole or not at all, and trouble with the disk in one line."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """A temporary file to write, which takes the place of `path` at the end: whole or not at all.

    It lies hidden beside `path`, with the same suffix; after an error it is gone and `path` is as
    it was. The new file has the permissions of the old one; behind a link, the file pointed at is
    replaced. A device or a pipe cannot be replaced: there, `path` itself is given to be written.
    Errors: OSError, of its usual kinds, in one line that begins with the path.
    """
    path = os.fsdecode(path)
    with describe_os_errors(path, "cannot be written"):
        if _is_stream(path):
            yield path
            return
        with _temporary(path) as (target, temporary):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)


def check_writable(path: str | os.PathLike) -> None:
    """OSError, of its usual kinds, unless a file can be written there; leaves nothing behind."""
    path = os.fsdecode(path)
    with describe_os_errors(path, "cannot be written"):
        if not _is_stream(path):
            with _temporary(path):
                pass


def _is_stream(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


@contextmanager
def _temporary(path: str) -> Iterator[tuple[str, str]]:
    """-> (the file behind all links, an empty file beside it with the permissions it should have).

    The second is gone at the end.
    """
    target, mode = os.path.realpath(path), None
    with suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "")
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "")
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}{os.path.splitext(name)[1]}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        yield target, temporary
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _files(folder: str | os.PathLike) -> Iterator[tuple[float, int, str]]:
    """-> (time of the last change, bytes, path)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process was first
                stat = entry.stat()
                if entry.is_file():
                    yield stat.st_mtime, stat.st_size, entry.path


def remove_oldest(folder: str | os.PathLike, most: int) -> None:
    """Remove files of a folder, the oldest first, until the others have `most` bytes at most."""
    files = sorted(_files(folder))
    total = sum(size for _, size, _ in files)
    for _, size, path in files:
        if total <= most:
            return
        with suppress(FileNotFoundError):  # another process was first
            os.unlink(path)
        total -= size


_REASONS = {
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENOTDIR: "its folder is a file; check the path",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.EACCES: "permission denied; check the permissions of the file and of its folder",
    errno.ENOSPC: "the disk is full; make room, or choose another path",
}


@contextmanager
def describe_os_errors(path: str, what: str) -> Iterator[None]:
    """An OSError as one of the same kind, in one line that begins with the path."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or ' '.join(str(error).split())}; choose another path"
        told = type(error)(f"{path}: {what}: {_REASONS.get(error.errno or 0, reason)}")
        told.errno = error.errno
        raise told from None
