//! Public keys that anybody can sign for.

/// The y-coordinates, little-endian and without the sign bit, of the points of small order, with their
/// encodings beyond the field's prime that ZIP-215 accepts too. Such a key `A` verifies a signature of
/// its own making for every eighth message or for all of them, so it identifies nobody. The values are
/// the torsion points of the curve, as listed with ZIP-215 and in "Taming the many EdDSAs" (Chalkias,
/// Garillot, Nikolaenko; 2020).
const SMALL_ORDER: [[u8; 32]; 7] = [
    // y = 0: order 4.
    [0; 32],
    // y = 1: order 1, the identity.
    little(1),
    // Two of order 8.
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    // y = p - 1: order 2.
    below_2_255(0xec),
    // y = p, which is 0, and y = p + 1, which is 1.
    below_2_255(0xed),
    below_2_255(0xee),
];

/// Whether the key is a point of small order in any encoding.
pub(crate) fn is_weak_key(key: &[u8; 32]) -> bool {
    let mut y = *key;
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

const fn little(value: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = value;
    bytes
}

/// The bytes of 2^255 - 256 + `low`; the field's prime is 2^255 - 19, low byte `0xed`.
const fn below_2_255(low: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = low;
    bytes[31] = 0x7f;
    bytes
}
