from types import SimpleNamespace

from trainers import memory


def test_glibc_is_told_to_keep_freed_memory(monkeypatch):
    told, agrees = [], [1]

    def mallopt(option: int, value: int) -> int:
        told.append((option, value))
        return agrees[0]

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    assert memory.keep_freed_memory() is True
    # malloc.h: one arena (M_ARENA_MAX), nothing mapped on its own (M_MMAP_MAX), large steps
    # (M_TOP_PAD), nothing handed back (M_TRIM_THRESHOLD)
    assert told == [(-8, 1), (-4, 0), (-2, 64 << 20), (-1, 2**31 - 1)]
    agrees[0] = 0
    assert memory.keep_freed_memory() is False


def test_another_libc_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert memory.keep_freed_memory() is False
