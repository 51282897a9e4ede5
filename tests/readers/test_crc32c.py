"""CRC-32C of many rows against the published vectors and TensorBoard's own table."""

from __future__ import annotations

import numpy as np
import pytest
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as reference
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from convergence_cli.readers._crc32c import crc32c, crc32c_rows, masked, masked_rows


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # RFC 3720, appendix B.4, this and the next two
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_published_vectors(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected
    assert crc32c_rows(np.frombuffer(data, np.uint8)[None, :]).tolist() == [expected]


@pytest.mark.parametrize(
    ("count", "length"),
    [(1, 1), (3, 40), (40, 40), (600, 37), (1, 1024), (1, 1025), (1, 100_003), (33, 777), (700, 1500), (5, 0)],
)
def test_rows_of_any_number_and_length(count: int, length: int) -> None:
    rows = np.random.default_rng(count).integers(0, 256, (count, length), dtype=np.uint8)
    rows[:, : length // 3] = 7
    found = crc32c_rows(rows)
    for row in {0, count // 2, count - 1}:
        data = rows[row].tobytes()
        assert found[row] == reference(data) == crc32c(data)
        assert masked_rows(found)[row] == masked_crc32c(data) == masked(crc32c(data))
