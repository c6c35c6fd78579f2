//! Which bytes to ask for, and of whom.

use iroh_blobs::protocol::{ChunkRanges, ChunkRangesExt};

/// Bytes of a chunk, as BLAKE3 has them.
const CHUNK_BYTES: u64 = 1_024;

/// Bytes that such ranges of chunks hold, of a blob of that size.
pub(crate) fn held_bytes(ranges: &ChunkRanges, size: u64) -> u64 {
    let boundaries = ranges.boundaries().chunks(2);
    let bytes = boundaries.map(|range| {
        let at = |n: usize| {
            range
                .get(n)
                .map(|chunk| chunk.0.saturating_mul(CHUNK_BYTES))
        };
        let from = at(0).unwrap_or(u64::MAX).min(size);
        let to = at(1).unwrap_or(u64::MAX).min(size);
        to - from
    });
    bytes.sum()
}

/// What a request asks for at least, where several clinics share a blob.
const MIN_PIECE: u64 = 4 * 1024 * 1024;

/// And at most: what has to be asked for again when a clinic is left.
const MAX_PIECE: u64 = 64 * 1024 * 1024;

/// Pieces for each clinic, so that the quick ones take more of them.
const PIECES_EACH: u64 = 4;

/// Ranges that one request may name.
const MAX_RANGES: usize = 256;

/// The last chunk: it proves the size.
pub(crate) fn last_chunk() -> ChunkRanges {
    ChunkRanges::last_chunk()
}

/// Cuts what is missing of a blob of that size into pieces for so many clinics.
pub(crate) fn pieces(missing: &ChunkRanges, size: u64, clinics: usize) -> Vec<ChunkRanges> {
    if clinics <= 1 {
        return at_most(missing, MAX_RANGES);
    }
    let bytes = held_bytes(missing, size);
    let count = PIECES_EACH.saturating_mul(u64::try_from(clinics).unwrap_or(u64::MAX));
    let piece = (bytes / count.max(1)).clamp(MIN_PIECE, MAX_PIECE);
    let piece = piece.next_multiple_of(16 * CHUNK_BYTES);
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < size {
        let to = from.saturating_add(piece);
        let window = if to >= size {
            ChunkRanges::bytes(from..)
        } else {
            ChunkRanges::bytes(from..to)
        };
        let part = missing & &window;
        if !part.is_empty() {
            pieces.extend(at_most(&part, MAX_RANGES));
        }
        from = to;
    }
    pieces
}

/// The same ranges in sets of at most so many.
fn at_most(ranges: &ChunkRanges, max: usize) -> Vec<ChunkRanges> {
    let boundaries = ranges.boundaries();
    let sets = boundaries.chunks(max.max(1) * 2);
    sets.filter_map(|set| ChunkRanges::new(set.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(from: u64, to: u64) -> ChunkRanges {
        ChunkRanges::chunks(from..to)
    }

    #[test]
    fn bytes_are_counted_up_to_the_size() {
        assert_eq!(held_bytes(&ChunkRanges::all(), 5_000), 5_000);
        assert_eq!(held_bytes(&ChunkRanges::empty(), 5_000), 0);
        assert_eq!(held_bytes(&last_chunk(), u64::MAX), 0);
        let two = &chunks(0, 2) | &chunks(4, 6);
        assert_eq!(held_bytes(&two, 5_000), 2_048 + 904);
    }

    #[test]
    fn pieces_are_all_that_is_missing_and_nothing_twice() {
        let size = 300 * 1024 * 1024 + 17;
        let held = &(&chunks(0, 777) | &chunks(5_000, 90_000)) | &chunks(200_000, 200_016);
        let missing = &ChunkRanges::all() - &held;
        for clinics in [1, 2, 3, 7] {
            let pieces = pieces(&missing, size, clinics);
            let mut seen = ChunkRanges::empty();
            for piece in &pieces {
                assert!((&seen & piece).is_empty(), "{clinics}");
                seen |= piece.clone();
            }
            assert_eq!(seen, missing, "{clinics}");
            assert!(clinics == 1 || pieces.len() >= clinics);
        }
    }

    #[test]
    fn what_is_full_of_holes_is_asked_for_in_several_requests() {
        let mut missing = ChunkRanges::empty();
        for n in 0..1_000 {
            missing |= chunks(n * 32, n * 32 + 16);
        }
        let sets = pieces(&missing, 1_000 * 32 * 1_024, 1);
        assert_eq!(sets.len(), 4);
        assert!(sets.iter().all(|set| set.boundaries().len() <= 512));
    }
}
