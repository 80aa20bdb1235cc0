"""Golden messages of linear algebra."""

from typing import Any

import pytest

import tinygrad_ai as ta

CASES = [
    (lambda: ta.linalg.inv(ta.zeros(2, 2)), "the matrix is singular and has no inverse"),
    (lambda: ta.linalg.solve(ta.zeros(2, 2), ta.ones(2)), "the matrix is singular: no one solution"),
    (lambda: ta.linalg.cholesky(-ta.eye(2)), "the matrix is not positive definite"),
    (lambda: ta.linalg.det(ta.zeros(2, 3)), "det expects square matrices, got (2, 3)"),
    (lambda: ta.linalg.cross(ta.zeros(2), ta.zeros(2)), "cross expects size 3 along dim, got (2,) and (2,)"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "message"), CASES, ids=range(len(CASES)))
def test_messages(work: Any, message: str) -> None:
    with pytest.raises(RuntimeError) as error:
        work()
    assert str(error.value) == message


def test_a_singular_determinant_has_its_cofactors_as_gradient() -> None:
    for values, cofactors in (
        ([[1.0, 2.0], [2.0, 4.0]], [[4.0, -2.0], [-2.0, 1.0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        ([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0]], [[0.0, 0, 0], [0, 0, 0], [0, 0, 1.0]]),
    ):
        x = ta.tensor(values, requires_grad=True)
        ta.linalg.det(x).backward()
        assert ta.allclose(x.grad, ta.tensor(cofactors))
