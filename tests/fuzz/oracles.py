"""What the readers under test must say, worked out slowly and by other means."""

from __future__ import annotations


def read_pixels(text: str, size: int) -> tuple[set[int], bool] | None:
    """The pixels (from 0) of a run-length text and whether its runs ascend without overlap; None if it is none."""
    if any(letter not in "0123456789 " for letter in text):
        return None
    numbers = [int(word) for word in text.split(" ") if word]
    if not numbers or len(numbers) % 2:
        return None
    pixels: set[int] = set()
    end, ascending = 0, True
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if start < 1 or length < 1 or start - 1 + length > size:
            return None
        ascending &= start - 1 >= end
        end = start - 1 + length
        pixels.update(range(start - 1, end))
    return pixels, ascending


def pixels_of(runs: list[list[int]]) -> set[int]:
    """The pixels of runs (start from 0, length)."""
    return {pixel for start, length in runs for pixel in range(start, start + length)}


def is_canonical(runs: list[list[int]]) -> bool:
    """Whether runs ascend, are not empty, do not overlap and do not touch."""
    ends = [start + length for start, length in runs]
    starts = [start for start, _ in runs]
    return all(length > 0 for _, length in runs) and all(
        after > end for end, after in zip(ends, starts[1:], strict=False)
    )


def split_line(line: bytes) -> list[str] | None:
    """The fields of a csv line, letter by letter; None where it is no line of csv or not UTF-8."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return None
    fields, place = [""], 0
    while place < len(text):
        letter = text[place]
        if letter == ",":
            fields.append("")
            place += 1
            if place == len(text):
                break
            continue
        if letter == '"' and (place == 0 or text[place - 1] == ",") and fields[-1] == "":
            place += 1
            while True:
                end = text.find('"', place)
                if end < 0:
                    return None
                fields[-1] += text[place:end]
                place = end + 1
                if text[place : place + 1] != '"':
                    break
                fields[-1] += '"'
                place += 1
            if place < len(text) and text[place] != ",":
                return None
            continue
        fields[-1] += letter
        place += 1
    return fields
