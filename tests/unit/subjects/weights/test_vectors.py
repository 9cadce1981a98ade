from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from harness.errors import FeatureSourceError
from harness.subjects.weights.vectors import read_directions

if TYPE_CHECKING:
    from pathlib import Path

MATRIX = [[1.0, 2.0, 3.0], [4.0, 5.0, -6.0]]


def npy(folder: Path, content: Any, name: str = "x.npy") -> Path:
    np.save(folder / name, content, allow_pickle=True)
    return folder / name


def safetensors(folder: Path, **tensors: Any) -> Path:
    path = folder / "x.safetensors"
    save_file({name: torch.as_tensor(value) for name, value in tensors.items()}, path)
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f8", "<i8", "<u1"])
def test_a_matrix_of_any_real_type(dtype: str, tmp_path: Path) -> None:
    rows = np.abs(MATRIX).astype(dtype)
    for order in ("C", "F"):
        found = read_directions(npy(tmp_path, np.asarray(rows, order=order)))
        assert found.weight.tolist() == np.abs(MATRIX).tolist()
        assert found.weight.dtype == torch.float32
        assert found.bias.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_one_tensor_of_any_name_and_type(dtype: torch.dtype, tmp_path: Path) -> None:
    found = read_directions(safetensors(tmp_path, coef=torch.tensor(MATRIX).to(dtype)))
    assert found.weight.tolist() == MATRIX
    assert found.names == ("direction 0", "direction 1")


def test_one_vector_is_one_direction(tmp_path: Path) -> None:
    assert read_directions(npy(tmp_path, np.ones(3))).weight.tolist() == [[1.0, 1.0, 1.0]]
    assert read_directions(safetensors(tmp_path, v=[1.0, 2.0])).weight.tolist() == [[1.0, 2.0]]


def test_vectors_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = read_directions(safetensors(tmp_path, b=[2.0, 0.0], d2=[4.0, 0.0], a=[1.0, 0.0], d10=[3.0, 0.0]))
    assert found.weight[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert found.names == ("direction 'a'", "direction 'b'", "direction 'd10'", "direction 'd2'")


def test_biases_in_the_same_file_or_in_one_of_their_own(tmp_path: Path) -> None:
    inside = read_directions(safetensors(tmp_path, w=MATRIX, bias=[0.5, -0.5]))
    assert (inside.weight.tolist(), inside.bias.tolist()) == (MATRIX, [0.5, -0.5])
    beside = read_directions(npy(tmp_path, MATRIX), npy(tmp_path, [0.5, -0.5], "b.npy"))
    assert (beside.weight.tolist(), beside.bias.tolist()) == (MATRIX, [0.5, -0.5])
    one = read_directions(npy(tmp_path, MATRIX[0]), npy(tmp_path, 0.25, "b.npy"))
    assert one.bias.tolist() == [0.25]
    with_vectors = read_directions(safetensors(tmp_path, p=[1.0, 0.0], c=[0.0, 1.0], bias=[7.0, 8.0]))
    assert (with_vectors.weight.tolist(), with_vectors.bias.tolist()) == ([[0.0, 1.0], [1.0, 0.0]], [7.0, 8.0])


@settings(deadline=None)
@given(
    rows=hnp.arrays(
        "float32", hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(-9, 9, width=32)
    )
)
def test_a_file_gives_back_what_was_saved(rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("saved")
    expected = torch.from_numpy(rows)
    assert torch.equal(read_directions(npy(folder, rows)).weight, expected)
    assert torch.equal(read_directions(safetensors(folder, any=expected)).weight, expected)
    named = {f"{index:03}": row.clone() for index, row in enumerate(expected)}
    assert torch.equal(read_directions(safetensors(folder, **named)).weight, expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.ones((2, 3, 4)), r"shape \(2, 3, 4\); directions are a matrix \[n, d\] or a vector \[d\]"),
        (np.float32(3), r"shape \(\); directions"),
        (np.ones((0, 3)), r"shape \(0, 3\); directions"),
        (np.ones((3, 0)), r"shape \(3, 0\); directions"),
        (np.array([[1.0, np.nan], [1.0, 1.0]]), "direction 0 holds NaN or infinite values"),
        (np.array([[1.0, 1.0], [1e300, 1.0]]), "direction 1 holds NaN or infinite values"),
        (np.array([True, False]), "of type bool, not of real numbers"),
        (np.array([1j, 2.0]), "of type complex128, not of real numbers"),
        (np.array(["a", "b"]), "of type <U1, not of real numbers"),
        (np.zeros(2, dtype=[("a", "<f4")]), "not of real numbers"),
        (np.array([{"a": 1}], dtype=object), r"holds Python objects, and is not read\. Try: save it again as numbers"),
    ],
)
def test_an_array_that_holds_no_directions(content: Any, message: str, tmp_path: Path) -> None:
    path = npy(tmp_path, content)
    with pytest.raises(FeatureSourceError, match=message) as caught:
        read_directions(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": MATRIX, "b": MATRIX}, r"holds 2 tensors, of which 'a' has shape \(2, 3\) and is no vector \[d\]"),
        ({"a": [1.0], "b": 2.0}, r"of which 'b' has shape \(\) and is no vector"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "the vectors 'a' and 'b' have widths 2 and 1"),
        ({"bias": [1.0, 2.0]}, "holds no direction"),
        ({"w": MATRIX, "bias": [1.0]}, r"the biases have shape \(1,\), expected \(2,\): one per direction"),
        ({"w": MATRIX, "bias": [[1.0], [2.0]]}, r"the biases have shape \(2, 1\), expected \(2,\)"),
        ({"w": MATRIX, "bias": [1.0, float("nan")]}, "the bias of direction 1 holds NaN"),
        ({"a": [1.0, 2.0], "q": [float("inf"), 1.0]}, "direction 'q' holds NaN or infinite values"),
        ({"w": [True, False]}, "'w' is of type bool, not of real numbers"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "'w' is of type complex64, not of real numbers"),
    ],
)
def test_tensors_that_are_no_directions(tensors: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = safetensors(tmp_path, **tensors)
    with pytest.raises(FeatureSourceError, match=message) as caught:
        read_directions(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_no_tensors_at_all(tmp_path: Path) -> None:
    with pytest.raises(FeatureSourceError, match="holds no direction"):
        read_directions(safetensors(tmp_path))


def test_biases_given_twice_or_of_a_file_with_more(tmp_path: Path) -> None:
    source = safetensors(tmp_path, w=MATRIX, bias=[1.0, 2.0])
    with pytest.raises(FeatureSourceError, match=r"holds biases of its own, and b\.npy is given too\. Try: leave"):
        read_directions(source, npy(tmp_path, [1.0, 2.0], "b.npy"))
    more = tmp_path / "more.safetensors"
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, more)
    with pytest.raises(FeatureSourceError, match=r"more\.safetensors: holds 2 tensors where one is due: a, b"):
        read_directions(npy(tmp_path, MATRIX), more)
    with pytest.raises(FeatureSourceError, match=r"b\.npy: the biases have shape \(3,\), expected \(2,\)"):
        read_directions(npy(tmp_path, MATRIX), npy(tmp_path, np.ones(3), "b.npy"))


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", b"", "is no NumPy array, whatever its name says"),
        ("x.npy", b"PK\x03\x04 an archive", "is no NumPy array"),
        ("x.npy", pickle.dumps(Bomb()), r"is no NumPy array.*numpy\.save"),
        ("x.npy", b"\x93NUMPY\x01\x00", "not readable as a NumPy array"),
        ("x.safetensors", b"", "not readable as safetensors"),
        ("x.safetensors", b"\xff" * 64, "not readable as safetensors"),
    ],
)
def test_files_that_are_something_else(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FeatureSourceError, match=message) as caught:
        read_directions(tmp_path / name)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(share=st.floats(0, 0.99), data=st.booleans())
def test_torn_files_are_said_to_be_so(share: float, data: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("torn")
    path = npy(folder, MATRIX) if data else safetensors(folder, w=MATRIX)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FeatureSourceError, match=r"not readable as|is no NumPy array"):
        read_directions(path)


def test_objects_inside_an_array_are_never_made(tmp_path: Path) -> None:
    path = npy(tmp_path, np.array([Bomb()], dtype=object))
    with pytest.raises(FeatureSourceError, match="holds Python objects"):
        read_directions(path)
