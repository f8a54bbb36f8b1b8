"""ECDSA and ECDH on P-256 in pure Python: thousands of multiplications where RSA takes 17, so they come in steps. A signature
has public numbers only; a private scalar takes a time of its own, which docs/security.md weighs.

Sources: FIPS 186-5, 6.4.2 (what is verified); SEC 1, 3.3.1 (ECDH); SP 800-186, 3.2.1.3 (the curve: y² = x³ - 3x + b); the
Explicit-Formulas Database, dbl-2001-b and madd (points in Jacobian coordinates: x/z², y/z³; z 0 is the point at infinity)."""

from micropython import const

from .. import steps

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_INFINITY = (1, 1, 0)
_STRIDE = const(8)  # bits of the two factors a step


def verify(x: int, y: int, r: int, s: int, digest: bytes):
    """Steps that return whether (r, s) signs `digest` (SHA-256 of the message) under the public key (x, y)."""
    if not (0 < r < _N and 0 < s < _N):
        return False
    inverse = pow(s, _N - 2, _N)
    u1, u2 = int.from_bytes(digest, "big") * inverse % _N, r * inverse % _N
    found = yield from combine("signature", u1, u2, (x, y))
    return found is not None and found[0] % _N == r


def combine(phase: str, u1: int, u2: int, key: tuple):
    """Steps of `phase` that return u1 G + u2 `key`, as (x, y); None where that is infinity, or `key` no point of the curve."""
    if not _is_key(*key):
        return None
    # u1 G + u2 Q, a bit of both factors at a time: what is added is one of these, by the two bits
    added = (None, _G, key, _affine(_add(key + (1,), _G)))
    total = _INFINITY
    for bit in range(255, -1, -1):
        total = _double(total)
        point = added[u1 >> bit & 1 | (u2 >> bit & 1) << 1]
        if point:
            total = _add(total, point)
        if bit % _STRIDE == 0:
            yield steps.wait(phase, 0)
    return _affine(total)


def _is_key(x: int, y: int) -> bool:
    # Whether (x, y) is a point of the curve, whose every point but the one at infinity is a public key.
    return 0 <= x < _P and 0 <= y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0


def _affine(point: tuple) -> "tuple | None":
    x, y, z = point
    if z == 0:
        return None
    inverse = pow(z, _P - 2, _P)
    square = inverse * inverse % _P
    return x * square % _P, y * square * inverse % _P


def _double(point: tuple) -> tuple:
    x, y, z = point
    delta, gamma = z * z % _P, y * y % _P
    beta = x * gamma % _P
    alpha = 3 * (x - delta) * (x + delta) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % _P, 2 * y * z % _P


def _add(point: tuple, affine: tuple) -> tuple:
    x1, y1, z1 = point
    x2, y2 = affine
    if z1 == 0:
        return x2, y2, 1
    square = z1 * z1 % _P
    h = (x2 * square - x1) % _P
    slope = (y2 * square * z1 - y1) % _P
    if h == 0:  # the same x: the same point, or its opposite
        return _INFINITY if slope else _double(point)
    h2 = h * h % _P
    h3, v = h2 * h % _P, x1 * h2 % _P
    x3 = (slope * slope - h3 - 2 * v) % _P
    return x3, (slope * (v - x3) - y1 * h3) % _P, z1 * h % _P
