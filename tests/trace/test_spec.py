"""Specs with a setting."""

from __future__ import annotations

from condsim.trace.spec import setting_in, with_setting, without_setting


def test_a_setting_is_the_last_part() -> None:
    assert setting_in("moe-bytes:top_k=1") == ("top_k", "1")
    assert setting_in("a=b/mine.py:make:kept=0.5") == ("kept", "0.5")
    for plain in ("moe-bytes", "a=b/mine.py:make", "a=b.py", ""):
        assert setting_in(plain) is None
        assert without_setting(plain) == plain


def test_a_setting_replaces_another() -> None:
    first = with_setting("mine.py:make", "kept", 12.0)
    assert first == "mine.py:make:kept=12"
    assert with_setting(first, "kept", 0.5) == "mine.py:make:kept=0.5"
