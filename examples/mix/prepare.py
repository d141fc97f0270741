"""Makes three sources in data/, one of them noise; see README.md.

python examples/mix/prepare.py
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

ROWS = 240
SOURCES = ("first", "second", "noise")
TARGET = Path(__file__).parent / "data"
CITIES = (
    "Athens",
    "Berlin",
    "Boston",
    "Cairo",
    "Delhi",
    "Dublin",
    "Lima",
    "London",
    "Madrid",
    "Oslo",
    "Paris",
    "Tokyo",
)
NAMES = (
    "Alice",
    "Ben",
    "Carla",
    "David",
    "Emma",
    "Frank",
    "Grace",
    "Henry",
    "Irene",
    "James",
    "Karen",
    "Louis",
    "Maria",
    "Nora",
    "Oscar",
    "Paul",
    "Ruth",
    "Simon",
)
GOODS = (
    "lamps",
    "chairs",
    "books",
    "cups",
    "bikes",
    "clocks",
    "desks",
    "tents",
    "boots",
    "coats",
    "drums",
    "vases",
    "rugs",
    "mirrors",
)
ORDERS = (
    "{n} {goods} to {city} for {name}",
    "{name} in {city} wants {n} {goods}",
    "{city}: {n} {goods}, {name}",
    "send {name} {n} {goods}, {city}",
)


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    for name, rows in sources().items():
        lines = [json.dumps(row) + "\n" for row in rows]
        (TARGET / f"{name}.jsonl").write_bytes("".join(lines).encode())
        print(f"{TARGET / name}.jsonl: {len(lines)} rows")


def sources() -> dict[str, list[dict[str, str]]]:
    """Different orders, each with the city that it goes to; in ``noise`` with the city of another order."""
    orders = different_orders(random.Random(11))
    made = {name: [next(orders) for _ in range(ROWS)] for name in SOURCES}
    cities = [row["city"] for row in made["noise"]]
    random.Random(12).shuffle(cities)
    made["noise"] = [{**row, "city": city} for row, city in zip(made["noise"], cities, strict=True)]
    return made


def different_orders(chance: random.Random) -> Iterator[dict[str, str]]:
    """Orders without end, no two alike."""
    seen: set[str] = set()
    while True:
        city = chance.choice(CITIES)
        words = {"city": city, "name": chance.choice(NAMES), "goods": chance.choice(GOODS), "n": chance.randint(2, 9)}
        order = chance.choice(ORDERS).format(**words)
        if order not in seen:
            seen.add(order)
            yield {"order": order, "city": city}


if __name__ == "__main__":
    main()
