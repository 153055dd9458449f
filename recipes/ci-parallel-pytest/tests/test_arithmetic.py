"""Plain Python: integers, fractions, decimals. Needs no library."""
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest


def sieve(limit):
    flags = bytearray([1]) * (limit + 1)
    flags[:2] = b"\0\0"
    for n in range(2, math.isqrt(limit) + 1):
        if flags[n]:
            flags[n * n :: n] = bytes(len(range(n * n, limit + 1, n)))
    return [n for n, is_prime in enumerate(flags) if is_prime]


def test_prime_counts_match_known_values():
    primes = sieve(100_000)
    assert len(primes) == 9592
    assert primes[:5] == [2, 3, 5, 7, 11]


def test_fibonacci_by_matrix_power_matches_iteration():
    def power(n):
        a, b, c, d = 1, 0, 0, 1
        e, f, g, h = 1, 1, 1, 0
        while n:
            if n & 1:
                a, b, c, d = a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
            e, f, g, h = e * e + f * g, e * f + f * h, g * e + h * g, g * f + h * h
            n >>= 1
        return b

    a, b = 0, 1
    for n in range(300):
        assert power(n) == a
        a, b = b, a + b


def test_harmonic_sum_is_exact_in_fractions():
    total = sum((Fraction(1, n) for n in range(1, 31)), Fraction(0))
    assert total == Fraction(9304682830147, 2329089562800)


def test_decimal_square_root_has_fifty_digits():
    with localcontext() as context:
        context.prec = 50
        root = Decimal(2).sqrt()
        assert abs(root * root - 2) < Decimal(10) ** -48
        assert str(root) == "1.4142135623730950488016887242096980785696718753769"


def test_modular_power_agrees_with_repeated_multiplication():
    for base, exponent, modulus in [(3, 200, 13), (7, 560, 561), (2, 90, 97)]:
        expected = 1
        for _ in range(exponent):
            expected = expected * base % modulus
        assert pow(base, exponent, modulus) == expected


def test_division_by_zero_is_an_error():
    with pytest.raises(ZeroDivisionError):
        Fraction(1, 0)
