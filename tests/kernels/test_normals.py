"""kernels/normals.cu against the reference: the same counters, the inverse normal within 4 units in the last place."""

import numpy as np
import pytest
from kernels.budget import spend
from kernels.host.device import HostDevice

import cpu_reference
from cpu_reference.normals import philox4x32
from gpu_var import cuda
from gpu_var.cuda.device import current
from gpu_var.cuda.normals import draw

ULPS = 4.0
ROUNDING = 4.0
"""Budget of a correlated number: times ε·√factors·√(Σ z²w²), its size's rounding error."""


def check_normals(seed: int, step: int, first: int, shape: tuple[int, int]) -> None:
    """Both backends on the same counters."""
    got = current().download(cuda.normals(seed, step, first, shape))
    expected = cpu_reference.normals(seed, step, first, shape)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if got.size:
        ulps = np.abs(got - expected) / np.spacing(np.abs(expected))
        spend("normals (ulp)", current().name, float(ulps.max()), ULPS)


def random_root(rng: np.random.Generator, n: int) -> np.ndarray:
    """A symmetric root of a correlation matrix; now and then a factor does not move."""
    x = rng.normal(size=(n, n + 2))
    correlation = np.atleast_2d(np.corrcoef(x)) if n else np.zeros((0, 0))
    value, vector = np.linalg.eigh(correlation)
    root = (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T
    still = rng.random(n) < 0.1
    root[still], root[:, still] = 0.0, 0.0
    return np.ascontiguousarray(root)


def check_draw(seed: int, shape: tuple[int, int]) -> None:
    """draw = normals, correlate, scale, mixing, bit for bit; and the reference's within rounding."""
    rng = np.random.default_rng(seed)
    device = current()
    n_paths, n_factors = shape
    first, step = int(rng.integers(0, 2**40)), int(rng.integers(0, 9))
    root, scale = random_root(rng, n_factors), rng.random(n_factors)
    mixing = cpu_reference.student_t_mixing(seed, step, first, n_paths, 4.5) if seed % 2 else None

    z = cpu_reference.normals(seed, step, first, shape)
    expected = np.empty(shape)
    cpu_reference.correlate(z, root, expected)
    on_device = device.upload(root)
    out = device.xp.full(shape, np.nan)
    cuda.correlate(device.upload(z), on_device, out)
    unit = np.finfo(float).eps * max(1.0, np.sqrt(n_factors)) * np.sqrt((z**2) @ (root**2))
    unit[unit == 0.0] = np.finfo(float).tiny
    if z.size:
        error = np.abs(device.download(out) - expected) / unit
        spend("correlate (rounding)", device.name, float(error.max()), ROUNDING)

    apart = device.xp.full(shape, np.nan)
    cuda.correlate(cuda.normals(seed, step, first, shape), on_device, apart)
    apart = device.download(apart) * scale * (1.0 if mixing is None else mixing[:, None])
    fused = device.xp.full(shape, np.nan)
    draw(seed, step, first, on_device, device.upload(scale), None if mixing is None else device.upload(mixing), fused)
    np.testing.assert_array_equal(device.download(fused), apart)


@pytest.mark.parametrize(
    ("seed", "step", "first", "shape"),
    [
        (0, 0, 0, (1, 1)),
        (2**63 - 1, 3, 2**32 - 5, (40, 2)),
        (7, 0, 10**12, (300, 3)),
        (1, 1, 0, (9, 67)),
        (2**64 - 1, 0, 0, (33, 64)),
        (5, 0, 0, (0, 4)),
        (5, 0, 0, (4, 0)),
        (11, 0, 0, (2000, 8)),
    ],
)
def test_normals(host: HostDevice, seed: int, step: int, first: int, shape: tuple[int, int]) -> None:
    check_normals(seed, step, first, shape)


@pytest.mark.parametrize("shape", [(1, 1), (65, 2), (3, 17), (70, 63), (64, 64), (10, 65), (2, 130), (0, 3), (3, 0)])
def test_draw(host: HostDevice, shape: tuple[int, int]) -> None:
    check_draw(shape[0] + shape[1], shape)
    assert ("draw" in host.launches) == (shape[1] <= 64)


def test_under_sanitizers(sanitized: HostDevice) -> None:
    check_normals(3, 0, 5, (9, 3))
    check_draw(1, (66, 5))
    check_draw(2, (5, 66))


PROBE = """
#include "philox.cuh"
extern "C" __global__ void probe(const unsigned int *c, unsigned int key0, unsigned int key1, unsigned int *words,
                                 const double *u, int n, double *x) {
    const Words w = philox4x32({c[0], c[1], c[2], c[3]}, key0, key1);
    words[0] = w.w0, words[1] = w.w1, words[2] = w.w2, words[3] = w.w3;
    for (int i = 0; i < n; ++i) x[i] = inverse_normal(u[i]);
}
"""


def test_inverse_normal_and_philox_themselves(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every branch of the inverse and the ends of (0, 1); Random123's known answers for the generator."""
    from scipy.special import ndtri  # noqa: PLC0415

    from gpu_var.cuda.device import kernel_path  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.cu").write_text(PROBE)
    (folder / "philox.cuh").write_text((kernel_path() / "philox.cuh").read_text())
    rng = np.random.default_rng(0)
    half = 2.0**-52
    u = np.concatenate(
        [
            (np.arange(500) + 0.5) * half,
            1.0 - (np.arange(500) + 0.5) * half,
            0.5 + (np.arange(-500, 500) + 0.5) * half,
            np.exp(-rng.uniform(0.0, 36.0, 50_000)),
            np.exp(-2.0) + (np.arange(-500, 500) + 0.5) * half,
            1.0 - np.exp(-2.0) + (np.arange(-500, 500) + 0.5) * half,
            np.exp(-32.0) * rng.uniform(0.9, 1.1, 1000),
            rng.random(200_000),
        ]
    )
    u = np.clip((np.floor(u / half) + 0.5) * half, half / 2, 1.0 - half / 2)
    x = np.full(u.size, np.nan)
    known = {
        (0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        (0xFFFFFFFF, 0xFFFFFFFF): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    }
    for (word, key), answer in known.items():
        counter, words = np.full(4, word, np.uint32), np.zeros(4, np.uint32)
        HostDevice(folder=folder).launch(
            "probe",
            "probe",
            (1,),
            (1,),
            (counter, np.uint32(key), np.uint32(key), words, u, np.int32(u.size), x),
        )
        np.testing.assert_array_equal(words, np.array(answer, np.uint32))
        np.testing.assert_array_equal(philox4x32(counter[:, None], (key, key))[:, 0], words)
    expected = ndtri(u)
    spend("inverse normal (ulp)", "host", float((np.abs(x - expected) / np.spacing(np.abs(expected))).max()), ULPS)


def test_student_t_mixing_is_the_reference(host: HostDevice) -> None:
    np.testing.assert_array_equal(
        cuda.student_t_mixing(3, 1, 9, 50, 4.0), cpu_reference.student_t_mixing(3, 1, 9, 50, 4.0)
    )


def test_bad_arguments(host: HostDevice) -> None:
    z, root, out = np.zeros((4, 3)), np.eye(3), np.zeros((4, 3))
    with pytest.raises(TypeError, match="independent has dtype float32"):
        cuda.correlate(z.astype(np.float32), root, out)
    with pytest.raises(ValueError, match=r"root has shape \(2, 2\); expected \(3, 3\)"):
        cuda.correlate(z, np.eye(2), out)
    with pytest.raises(ValueError, match=r"out has shape \(5, 3\); expected \(4, 3\)"):
        cuda.correlate(z, root, np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"scale has shape \(2,\); expected \(3,\)"):
        draw(0, 0, 0, root, np.zeros(2), None, out)
    with pytest.raises(ValueError, match=r"mixing has shape \(3,\); expected \(4,\)"):
        draw(0, 0, 0, root, np.zeros(3), np.zeros(3), out)
