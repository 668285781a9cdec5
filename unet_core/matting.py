"""The soft pixels of a mask, solved from the photo: closed-form matting in a narrow band.

    mask, photo ─ windows around soft pixels ─ equations ─ a few steps of conjugate gradients ─ mask

In a window of 3×3 pixels alpha is nearly a linear function of the colour. Levin, Lischinski and
Weiss, "A closed-form solution to natural image matting" (TPAMI 2008), turn that into a sparse
system of equations. Here only soft pixels that the caller names are unknown; all others stand.
Each unknown is also drawn to what the network said, so that where car and floor look the same its
word holds. The cost is proportional to the edge.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_NOISE = np.float32(8)
"""Variance of a colour, in levels², that says nothing: a sensor's and JPEG's."""
_TRUST = np.float32(0.03)
"""Weight of the network's word; that of the windows around a pixel is up to 8 together."""
_STEPS = 15
"""Twice as many measured no better."""
_RIM = 2
"""Pixels around the picture, repeated from its border: an equation reaches so far."""
_ROW, _COLUMN = np.divmod(np.arange(9), 3)
_PAIR = (_ROW - _ROW[:, None] + 2) * 5 + _COLUMN - _COLUMN[:, None] + 2
"""(9, 9): which of the 5×5 pixels around one of a window's pixels another of them is."""


def solve_alpha(alpha: Picture, pixels: Picture, where: NDArray[np.bool_]) -> Picture:
    """``alpha`` (H, W) uint8 of the photo ``pixels`` (H, W, 3) uint8, with what lies in 1..254
    and is marked in ``where`` (H, W) estimated anew, (H, W) uint8. All else stays, and so do the
    inputs."""
    border = (_RIM, _RIM, _RIM, _RIM, cv2.BORDER_REPLICATE)
    given = np.asarray(cv2.copyMakeBorder(alpha, *border), np.uint8)
    unsolved = np.zeros(given.shape, np.bool_)
    unsolved[_RIM:-_RIM, _RIM:-_RIM] = where & (alpha > 0) & (alpha < 255)
    place = np.flatnonzero(unsolved)  # (N,)
    if not place.size:
        return alpha
    photo = np.asarray(cv2.copyMakeBorder(pixels, *border), np.uint8)
    around = _around(place, 5, given.shape[1])  # (25, N)
    weights = _equations(photo, place)
    known = np.asarray(given.reshape(-1) / np.float32(255), np.float32)
    number = np.full(given.size, place.size, np.intp)  # of each unknown; the last is no unknown
    number[place] = np.arange(place.size)
    neighbour = number[around]
    unknown = neighbour < place.size
    prior = known[place]
    fixed = np.where(unknown, 0, weights) * known[around]
    weights = np.where(unknown, weights, np.float32(0))
    weights[12] += _TRUST
    right = np.asarray(_TRUST * prior - fixed.sum(axis=0), np.float32)
    solved = _conjugate_gradients(weights, neighbour, right, prior)
    given.reshape(-1)[place] = np.rint(255 * np.clip(solved, 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(given[_RIM:-_RIM, _RIM:-_RIM])


def _around(place: Places, side: int, width: int) -> Places:
    """(side², N) flat indices of the square around each place."""
    step = np.arange(side) - side // 2
    return np.asarray(place + (step[:, None] * width + step).reshape(-1, 1), np.intp)


def _equations(photo: Picture, place: Places) -> Floats:
    """The matting Laplacian's rows of the pixels at ``place``: weights (25, N) of the 5×5 pixels
    around each, from all windows that hold one of them."""
    windows_of = _around(place, 3, photo.shape[1])  # (9, N), by the pixels they are centred on
    wanted = np.zeros(photo.shape[0] * photo.shape[1], np.bool_)
    wanted[windows_of] = True
    centres = np.flatnonzero(wanted)  # (M,)
    number = np.empty(wanted.size, np.intp)
    number[centres] = np.arange(centres.size)
    colours = photo.reshape(-1, 3)[_around(centres, 3, photo.shape[1])]
    alike = _alike(np.ascontiguousarray(colours.transpose(2, 0, 1), np.float32))
    weights = np.zeros((25, place.size), np.float32)
    for position in range(9):
        # A pixel has this position in the window that is centred on the opposite one.
        window = number[windows_of[8 - position]]
        for other in range(9):
            same = np.float32(position == other)
            share = alike[position, other][window]
            weights[_PAIR[position, other]] += same - (1 + share) / np.float32(9)
    return weights


def _alike(colours: Floats) -> Floats:
    """(9, 9, M): how alike two of a window's nine ``colours`` (3, 9, M) are, beside its others: the
    product of what they differ by from their mean, in units of the window's covariance."""
    apart = colours - colours.mean(axis=1, keepdims=True)
    r, g, b = apart
    nine = np.float32(9)
    rr, gg, bb = ((each * each).sum(axis=0) / nine + _NOISE for each in (r, g, b))
    rg, rb, gb = ((one * two).sum(axis=0) / nine for one, two in ((r, g), (r, b), (g, b)))
    # By Cholesky: in these three directions the window's colours vary alike, and on their own.
    first = r / np.sqrt(rr)
    to_g, to_b = rg / np.sqrt(rr), rb / np.sqrt(rr)
    left = np.sqrt(gg - to_g * to_g)
    second = (g - to_g * first) / left
    to_second = (gb - to_b * to_g) / left
    third = (b - to_b * first - to_second * second) / np.sqrt(
        bb - to_b * to_b - to_second * to_second
    )
    alike = np.empty((9, *apart.shape[1:]), np.float32)
    for one in range(9):
        for two in range(one + 1):
            product = first[one] * first[two]
            product += second[one] * second[two]
            product += third[one] * third[two]
            alike[one, two] = alike[two, one] = product
    return alike


def _conjugate_gradients(
    weights: Floats, neighbour: Places, right: Floats, start: Floats
) -> Floats:
    """(N,) after ``_STEPS`` steps from ``start``: sum of ``weights`` (25, N) times the unknowns
    at ``neighbour`` (25, N), where N stands for none, is to be ``right`` (N,)."""
    values = np.zeros(start.size + 1, np.float32)
    gathered = np.empty(neighbour.shape, np.float32)

    def times(x: Floats) -> Floats:
        values[:-1] = x
        np.take(values, neighbour, out=gathered, mode="clip")
        return np.asarray(np.einsum("ij,ij->j", weights, gathered), np.float32)

    x, diagonal = start.copy(), weights[12]
    error = right - times(x)
    scaled = error / diagonal
    direction, size = scaled, float(error @ scaled)
    for _ in range(_STEPS):
        if size < 1e-9:
            break
        moved = times(direction)
        step = np.float32(size / float(direction @ moved))
        x += step * direction
        error -= step * moved
        scaled = error / diagonal
        size, before = float(error @ scaled), size
        direction = scaled + np.float32(size / before) * direction
    return x
