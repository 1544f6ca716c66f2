"""The yardstick: named shapes, peers, measured rows, two commits side by side."""
