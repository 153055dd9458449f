"""Arrays: algebra, broadcasting, transforms."""
import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


def test_solving_a_linear_system_leaves_no_residue(rng):
    a = rng.normal(size=(120, 120)) + 120 * np.eye(120)
    b = rng.normal(size=120)
    x = np.linalg.solve(a, b)
    np.testing.assert_allclose(a @ x, b, atol=1e-9)


def test_singular_values_rebuild_the_matrix(rng):
    a = rng.normal(size=(60, 40))
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose((u * s) @ vt, a, atol=1e-10)
    assert np.all(np.diff(s) <= 0)


def test_broadcasting_gives_the_distance_table(rng):
    points = rng.random((80, 3))
    table = np.sqrt(((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=-1))
    assert table.shape == (80, 80)
    np.testing.assert_allclose(table, table.T)
    assert np.all(np.diag(table) == 0)


def test_fourier_transform_finds_the_two_tones():
    t = np.arange(2048) / 2048
    signal = np.sin(2 * np.pi * 50 * t) + 0.5 * np.sin(2 * np.pi * 120 * t)
    spectrum = np.abs(np.fft.rfft(signal))
    assert sorted(np.argsort(spectrum)[-2:]) == [50, 120]


def test_masked_assignment_touches_only_the_mask(rng):
    a = rng.normal(size=10_000)
    clipped = a.copy()
    clipped[clipped < 0] = 0
    np.testing.assert_array_equal(clipped, np.maximum(a, 0))


def test_views_share_memory_and_copies_do_not():
    base = np.zeros(16)
    base.reshape(4, 4)[1:3, 1:3] = 7
    assert base.sum() == 28
    assert not np.shares_memory(base, base.copy())


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="broadcast"):
        np.zeros((3, 2)) + np.zeros((2, 3))
