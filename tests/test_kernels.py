"""The table of kernels: each row is a version, and 6.1 and 6.12 differ where kernel-facts says so."""

import pytest

from pagelab.mm.kernels import KERNELS
from pagelab.mm.page_alloc import free_one_page, free_one_page_6_1
from pagelab.mm.page_isolation import unisolate, unisolate_6_18


def test_the_versions():
    assert list(KERNELS) == ["6.1", "6.12", "6.18", "7.x"]
    assert KERNELS["6.1"].free_one_page is free_one_page_6_1
    assert {KERNELS[version].free_one_page for version in ("6.12", "6.18", "7.x")} == {free_one_page}
    assert [kernel.unisolate for kernel in KERNELS.values()] == [unisolate, unisolate, unisolate_6_18, unisolate_6_18]
    assert [kernel.auto_tuned for kernel in KERNELS.values()] == [False, True, True, True]


@pytest.mark.parametrize("field", ["pcp", "kept", "apart", "last_resort", "strict"])
def test_6_1_and_6_12_differ(field):
    assert getattr(KERNELS["6.1"], field) != getattr(KERNELS["6.12"], field)
