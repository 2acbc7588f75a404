#!/usr/bin/env python3
"""Prints the figure of the training curves that stands in index.html, from the first stage's rows of the shipped weights' log.

    python3 scripts/curves.py weights/butterflies-128.log.csv
"""

import csv
import sys

# The drawing's size, and the margins in which numbers stand.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 190, 34, 34, 12, 28
MOST_LOSS, MOST_KID = 0.5, 32


def main(path):
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "1"]
    pictures = [int(row["pictures"]) for row in rows]
    first, last = min(pictures), max(pictures)

    def place(row, name, most):
        x = LEFT + (int(row["pictures"]) - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - float(row[name]) / most * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    loss = " ".join(place(row, "loss", MOST_LOSS) for row in rows if row["loss"])
    kids = [place(row, "kid", MOST_KID).split(",") for row in rows if row["kid"]]
    final = [row["kid"] for row in rows if row["kid"]][-1]
    floor = HEIGHT - BOTTOM
    print(f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss and KID of the first stage over the pictures that it has seen: '
          f'the loss falls slowly, KID from 27 to {final}">')
    print(f'  <path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}V{TOP}"/>')
    for value in (0, 0.25, 0.5):
        y = floor - value / MOST_LOSS * (HEIGHT - TOP - BOTTOM)
        print(f'  <text class="end" x="{LEFT - 5}" y="{y + 4:.0f}">{value:g}</text>')
    for value in (0, 15, 30):
        y = floor - value / MOST_KID * (HEIGHT - TOP - BOTTOM)
        print(f'  <text x="{WIDTH - RIGHT + 5}" y="{y + 4:.0f}">{value}</text>')
    print(f'  <text x="{LEFT}" y="{HEIGHT - 9}">{round(first, -3):,} pictures</text><text class="end" x="{WIDTH - RIGHT}" y="{HEIGHT - 9}">{round(last, -3):,}</text>')
    print(f'  <text x="{LEFT + 8}" y="{TOP + 14}">loss</text><text class="end marked" x="{WIDTH - RIGHT - 8}" y="{TOP + 8}">KID × 1000</text>')
    print(f'  <polyline class="loss" points="{loss}"/>')
    print('  <g class="kid">' + "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in kids) + "</g>")
    print("</svg>")


main(sys.argv[1])
