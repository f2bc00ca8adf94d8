"""Snapshot files: read back whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from segcore.snapshot import parse, read_newest, write

SECTIONS = {"a": b"alpha", "empty": b"", "b": bytes(range(40))}


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "segments.snapshot"
    assert read_newest(path) is None
    write(path, {"position": 7}, SECTIONS)
    assert read_newest(path) == ({"position": 7}, SECTIONS)
    assert [file.name for file in path.parent.iterdir()] == ["segments.snapshot"]


def test_every_flipped_byte_and_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write(path, {"position": 7}, SECTIONS)
    content = path.read_bytes()
    for place in range(len(content)):
        with pytest.raises(ValueError, match="expected"):
            parse(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        with pytest.raises(ValueError, match="expected"):
            parse(content[:place])
    with pytest.raises(ValueError, match="expected"):
        parse(content + b"x")


def test_the_former_one_is_used_when_the_newest_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write(path, {"position": 1}, SECTIONS)
    write(path, {"position": 2}, SECTIONS)
    path.write_bytes(path.read_bytes()[:-1])
    former = read_newest(path)
    assert former is not None
    assert former[0] == {"position": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s.bad", "s.prev"]


def test_bad_ones_are_kept_each_under_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for position in (1, 2):
        write(path, {"position": position}, SECTIONS)
    for file in (path, tmp_path / "s.prev"):
        file.write_bytes(b"nonsense")
    assert read_newest(path) is None
    write(path, {"position": 3}, SECTIONS)
    path.write_bytes(b"")
    assert read_newest(path) is None
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["s.1.bad", "s.bad", "s.prev.bad"]


def test_a_draft_that_was_left_behind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write(path, {"position": 1}, SECTIONS)
    (tmp_path / "s.tmp").write_bytes(b"half")
    path.replace(tmp_path / "s.prev")
    newest = read_newest(path)
    assert newest is not None
    assert newest[0] == {"position": 1}
