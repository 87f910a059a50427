import os

from trainers import bench_steps


def test_each_table_has_a_process_of_its_own_with_the_memory_it_asks_for(monkeypatch):
    monkeypatch.setenv(bench_steps.KEEP, "as it was")
    assert bench_steps.alone(True, os.getenv, bench_steps.KEEP) == "true"
    assert bench_steps.alone(False, os.getenv, bench_steps.KEEP) == "false"
    assert bench_steps.alone(False, os.getpid) != os.getpid()
