from __future__ import annotations

from pathlib import Path

from worker.courier.records import Records


def test_a_note_outlives_the_process_and_can_be_forgotten(tmp_path: Path) -> None:
    Records(tmp_path / "notes").write("car", {"edition": "1"})
    records = Records(tmp_path / "notes")
    assert records.of("car") == {"edition": "1"}
    records.drop("car")
    assert records.of("car") == {}


def test_any_name_that_a_folder_can_have_can_be_noted(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for number, name in enumerate(("a" * 255, "..", "Ä b/c", "con")):
        records.write(name, {"number": number})
    assert [records.of(name)["number"] for name in ("a" * 255, "..", "Ä b/c", "con")] == [
        0,
        1,
        2,
        3,
    ]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write("car", {"edition": "1"})
    for content in (b"", b'{"edi', b"[1]"):
        (file,) = tmp_path.iterdir()
        file.write_bytes(content)
        assert records.of("car") == {}
