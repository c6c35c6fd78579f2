//! Directories of a TIFF file (TIFF 6.0, section 2), as far as one must know of them before a decoder may see them.

/// Directories that are followed: pages of a file with more are not counted.
const MAX_PAGES: u32 = 1_000;
/// Values of an entry that is read: an offset for each strip, of which there are at most as many as rows, of four planes.
const MAX_VALUES: u32 = 4 * 65_536;
const SHORT: u16 = 3;
const LONG: u16 = 4;
/// Tag, type, count and value of an entry.
const ENTRY: usize = 12;

/// One directory of a classic TIFF file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ifd<'a> {
    tiff: &'a [u8],
    big_endian: bool,
    /// Where its count of entries stands.
    start: usize,
}

impl<'a> Ifd<'a> {
    /// The first directory. `None` where there is none, or in a BigTIFF file.
    pub(crate) fn first(tiff: &'a [u8]) -> Option<Self> {
        let big_endian = match tiff.get(..4)? {
            b"MM\0*" => true,
            b"II*\0" => false,
            _ => return None,
        };
        let header = Self {
            tiff,
            big_endian,
            start: 0,
        };
        header.at(header.long(4)?)
    }

    fn at(self, offset: u32) -> Option<Self> {
        let start = usize::try_from(offset).ok()?;
        let directory = Self { start, ..self };
        (start > 0 && directory.short(start).is_some()).then_some(directory)
    }

    fn short(self, at: usize) -> Option<u16> {
        let bytes = *self.tiff.get(at..)?.first_chunk()?;
        Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn long(self, at: usize) -> Option<u32> {
        let bytes = *self.tiff.get(at..)?.first_chunk()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn entries(self) -> usize {
        self.short(self.start).map_or(0, usize::from)
    }

    /// The value of a tag that is a number: of the last entry, should there be several, as decoders have it.
    pub(crate) fn number(self, tag: u16) -> Option<u32> {
        (0..self.entries())
            .rev()
            .map(|index| self.start + 2 + index * ENTRY)
            .find(|entry| self.short(*entry) == Some(tag))
            .and_then(|entry| match self.short(entry + 2)? {
                SHORT => self.short(entry + 8).map(u32::from),
                LONG => self.long(entry + 8),
                _ => None,
            })
    }

    /// Whether a decoder may read the values that entries list: it makes 32 bytes of each as soon as it sees how many there are
    /// said to be. Private tags and XMP are never read.
    pub(crate) fn is_modest(self) -> bool {
        const PRIVATE: u16 = 0x8000;
        const XMP: u16 = 700;
        (0..self.entries())
            .map(|index| self.start + 2 + index * ENTRY)
            .filter(|entry| {
                self.short(*entry)
                    .is_some_and(|tag| tag < PRIVATE && tag != XMP)
            })
            .all(|entry| {
                self.long(entry + 4)
                    .is_some_and(|count| count <= MAX_VALUES && (count as usize) <= self.tiff.len())
            })
    }

    /// Whether the file holds every directory from this one on, and all that they say lies elsewhere in it: strips and tiles.
    pub(crate) fn is_whole(self) -> bool {
        const DATA: [(u16, u16); 2] = [(273, 279), (324, 325)];
        let mut directory = self;
        for _ in 0..MAX_PAGES {
            let end = directory.start + 2 + directory.entries() * ENTRY;
            let reaches = DATA.iter().all(|(offsets, lengths)| {
                let (offsets, lengths) = (directory.values(*offsets), directory.values(*lengths));
                offsets.zip(lengths).all(|(offset, length)| {
                    u64::from(offset) + u64::from(length) <= self.tiff.len() as u64
                })
            });
            match directory.long(end) {
                _ if !reaches => return false,
                // Of a single page some writers leave the end of the chain out.
                None => return directory.start == self.start && end <= self.tiff.len(),
                Some(0) => return true,
                Some(next) => match self.at(next) {
                    Some(next) => directory = next,
                    None => return false,
                },
            }
        }
        true
    }

    /// The values of a tag that lists numbers, as far as they are in the file; at most as many as may be listed.
    fn values(self, tag: u16) -> impl Iterator<Item = u32> {
        let entry = (0..self.entries())
            .rev()
            .map(|index| self.start + 2 + index * ENTRY)
            .find(|entry| self.short(*entry) == Some(tag));
        let listed = entry.and_then(|entry| {
            let width = match self.short(entry + 2)? {
                SHORT => 2,
                LONG => 4,
                _ => return None,
            };
            let count = self.long(entry + 4)?.min(MAX_VALUES) as usize;
            let place = if count * width <= 4 {
                entry + 8
            } else {
                self.long(entry + 8)? as usize
            };
            Some((width, count, place))
        });
        let (width, count, place) = listed.unwrap_or((4, 0, 0));
        (0..count).map_while(move |index| {
            let at = place.checked_add(index * width)?;
            if width == 2 {
                self.short(at).map(u32::from)
            } else {
                self.long(at)
            }
        })
    }

    /// How many directories there are from this one on.
    pub(crate) fn pages(self) -> u32 {
        let mut directory = self;
        let mut pages = 1;
        while pages < MAX_PAGES {
            let end = directory.start + 2 + directory.entries() * ENTRY;
            let Some(next) = directory.long(end).and_then(|offset| self.at(offset)) else {
                break;
            };
            directory = next;
            pages += 1;
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::builders::directory;

    #[test]
    fn a_tag_is_found_in_both_byte_orders() {
        let number = |tiff: &[u8]| Ifd::first(tiff)?.number(0x0112);
        assert_eq!(number(&directory(6)), Some(6));
        let mut big = b"MM\0*\0\0\0\x08\0\x01".to_vec();
        big.extend([1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0]);
        assert_eq!(number(&big), Some(8));
        for end in 0..directory(6).len() - 3 {
            assert_eq!(number(&directory(6)[..end]), None);
        }
    }

    #[test]
    fn a_chain_of_directories_that_never_ends_is_not_followed_for_ever() {
        let mut turning = directory(1);
        turning.extend(8_u32.to_le_bytes());
        assert_eq!(Ifd::first(&turning).map(Ifd::pages), Some(MAX_PAGES));
        assert_eq!(Ifd::first(&directory(1)).map(Ifd::pages), Some(1));
    }
}
