import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from curation.errors import DataError
from curation.translation.cache import TranslationCache, cache_key, default_directory, open_cache
from curation.translation.engine import Translated


def _fill(directory, process) -> None:
    cache = open_cache(directory)
    for batch in range(20):
        cache.add(
            {
                cache_key("route", f"{number}", None): Translated(f"{number} done", number)
                for number in range(batch * 10, batch * 10 + 20)
            }
        )
    cache.add({cache_key("route", f"of {process}", None): Translated("own")})


def test_what_was_added_is_found_and_nothing_else(tmp_path) -> None:
    keys = [cache_key("route", f"{number}", None) for number in range(1200)]
    cache = TranslationCache(tmp_path / "a" / "b.sqlite")
    added = {key: Translated(f"\ud800 {key.hex()}", at) for at, key in enumerate(keys[::2])}
    cache.add(added)
    cache.close()
    assert TranslationCache(tmp_path / "a" / "b.sqlite").find(keys) == added


def test_keys_tell_all_that_decides_apart() -> None:
    keys = {
        cache_key(route, sentence, seed)
        for route in ("a", "b", "a\0")
        for sentence in ("x", "x ", "", "\ud800")
        for seed in (None, 0, 1)
    }
    assert len(keys) == 36


def test_the_first_answer_stays(tmp_path) -> None:
    cache, key = TranslationCache(tmp_path / "c"), cache_key("r", "s", None)
    cache.add({key: Translated("one")})
    cache.add({key: Translated("two")})
    assert cache.find([key])[key].text == "one"


def test_a_batch_goes_in_whole_or_not_at_all(tmp_path) -> None:
    cache = TranslationCache(tmp_path / "c")
    good = cache_key("r", "good", None)
    with pytest.raises(AttributeError):
        cache.add({good: Translated("text"), b"bad": Translated(None)})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cannot be used"):
        cache.add({good: Translated("text"), b"bad": Translated("text", None)})  # type: ignore[arg-type]
    assert not cache.find([good])
    cache.add({good: Translated("text")})
    assert cache.find([good])


def test_several_processes_share_one_file(tmp_path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    keys = [cache_key("route", f"{number}", None) for number in range(210)]
    own = [cache_key("route", f"of {number}", None) for number in range(3)]
    found = open_cache(tmp_path).find([*keys, *own])
    assert len(found) == 213
    assert found[keys[7]] == Translated("7 done", 7)


def test_threads_of_one_process_share_one_object(tmp_path) -> None:
    cache = TranslationCache(tmp_path / "c")

    def fill(number: int) -> Translated:
        keys = [cache_key("route", f"{number} {at}", None) for at in range(50)]
        for key in keys:
            cache.add({key: Translated(key.hex())})
        return cache.find(keys)[keys[-1]]

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(fill, range(8)))) == 8


def test_a_damaged_file_is_one_line(tmp_path) -> None:
    (tmp_path / "c").write_bytes(b"not a database, however one reads it" * 100)
    with pytest.raises(DataError, match=r"c cannot be used \(file is not a database\).*delete it"):
        TranslationCache(tmp_path / "c")
    with sqlite3.connect(tmp_path / "d") as other:
        other.execute("CREATE TABLE translations (a, b)")
    other.close()
    with pytest.raises(DataError, match="no such column"):
        TranslationCache(tmp_path / "d").find([b"key"])


def test_a_place_that_cannot_be_written_is_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be used"):
        TranslationCache(tmp_path / "file" / "c")


def test_where_it_lies(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CURATION_HOME", str(tmp_path / "home"))
    assert default_directory() == tmp_path / "home" / "translations"
    monkeypatch.delenv("CURATION_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "curation" / "translations"
